/* Opens connections, sends one byte on each and waits for its echo, prints a line and holds them until stdin ends. */
#include "load.h"

int main(int argc, char **argv) {
  if (argc != 3) return fputs("usage: idle_connections PORT COUNT\n", stderr), 2;
  struct sockaddr_in address = loopback(atoi(argv[1]));
  int count = atoi(argv[2]);
  for (int i = 0; i < count; i++) {
    char byte = 'x';
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket", errno);
    /* Closed by a reset: ten thousand TIME-WAITs a run would disturb the next one. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect", errno);
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) fail("an echo", errno);
  }
  printf("{\"open\":%d}\n", count);
  fflush(stdout);
  for (char byte; read(STDIN_FILENO, &byte, 1) > 0;);
  return 0;
}
