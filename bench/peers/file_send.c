/* file_send PORT FILE [COMMAND]: sends COMMAND as a line, if there is one, and the file by sendfile, closes its side and
 * prints what comes back until the server closes: what the system itself costs the sender of a file. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int connect_to(int port) {
  int connection = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return connect(connection, (struct sockaddr *)&address, sizeof address) == 0 ? connection : -1;
}

static int send_file(int connection, int file) {
  struct stat facts;
  if (fstat(file, &facts) != 0) return -1;
  for (off_t sent = 0; sent < facts.st_size;)
    if (sendfile(connection, file, &sent, facts.st_size - sent) <= 0) return -1;
  return shutdown(connection, SHUT_WR);
}

int main(int count, char **arguments) {
  if (count < 3) return fprintf(stderr, "usage: file_send PORT FILE [COMMAND]\n"), 2;
  int connection = connect_to(atoi(arguments[1])), file = open(arguments[2], O_RDONLY);
  if (connection < 0 || file < 0) return perror("file_send"), 1;
  if (count > 3) dprintf(connection, "%s\n", arguments[3]);
  if (send_file(connection, file) != 0) return perror("file_send"), 1;
  char reply[4096];
  ssize_t received;
  while ((received = read(connection, reply, sizeof reply)) > 0) fwrite(reply, 1, received, stdout);
  return received < 0;
}
