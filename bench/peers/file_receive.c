/* file_receive PORT FILE: stores what the first client sends, with recv of up to 1 MiB and write: what the system itself
 * costs the receiver of a file. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 1024 * 1024 };

static char buffer[READ_SIZE];

static int accept_one(int port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0) return -1;
  return accept(listener, NULL, NULL);
}

static int write_all(int file, const char *bytes, ssize_t count) {
  for (ssize_t written; count > 0; bytes += written, count -= written)
    if ((written = write(file, bytes, count)) < 0) return -1;
  return 0;
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: file_receive PORT FILE\n"), 2;
  int connection = accept_one(atoi(arguments[1])), file = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (connection < 0 || file < 0) return perror("file_receive"), 1;
  ssize_t received;
  while ((received = recv(connection, buffer, sizeof buffer, 0)) > 0)
    if (write_all(file, buffer, received) != 0) return perror("file_receive"), 1;
  return received < 0;
}
