/* TCP echo on epoll, one thread, level-triggered: what the system itself costs, and so the limit that others are measured
 * against. A peer that does not read stops it for all: it is a yardstick, not a server. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, MAX_EVENTS = 512, BACKLOG = 4096 };

static int listen_on_free_port(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, BACKLOG) != 0) return -1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    watch(epoll, fd);
  }
}

static void write_all(int fd, const char *bytes, ssize_t count) {
  while (count > 0) {
    ssize_t written = send(fd, bytes, count, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) return;
    if (written < 0) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
    else bytes += written, count -= written;
  }
}

int main(void) {
  static char buffer[READ_SIZE];
  int listener = listen_on_free_port(), epoll = epoll_create1(0);
  if (listener < 0 || epoll < 0) return perror("tcp_echo_epoll"), 1;
  watch(epoll, listener);
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(epoll, listener);
        continue;
      }
      ssize_t count = read(fd, buffer, sizeof buffer);
      if (count > 0) write_all(fd, buffer, count);
      else if (count == 0 || errno != EAGAIN) close(fd);
    }
  }
}
