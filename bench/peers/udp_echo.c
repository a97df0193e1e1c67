/* UDP echo, one recvfrom and one sendto a datagram: what the system itself costs. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum { MAX_DATAGRAM = 65507 };

int main(void) {
  static char buffer[MAX_DATAGRAM];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr *)&address, size) != 0) return perror("udp_echo"), 1;
  getsockname(fd, (struct sockaddr *)&address, &size);
  printf("listening on udp://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    struct sockaddr_in peer;
    size = sizeof peer;
    ssize_t count = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &size);
    if (count >= 0) sendto(fd, buffer, count, 0, (struct sockaddr *)&peer, size);
  }
}
