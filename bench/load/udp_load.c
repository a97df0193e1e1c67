/* UDP echo load of one socket, each datagram numbered and stamped with its time.
 * window N: N datagrams outstanding, each reply lets the next one go; what a server can do.
 * rate N: N datagrams a second whether replies come or not; what a server loses. */
#define _GNU_SOURCE
#include "load.h"
#include <poll.h>

enum { MAX_DATAGRAM = 65507, SOCKET_BUFFER = 4 << 20 };
/* A window without a reply for so long is lost. */
static const double STALL_S = 0.2;
/* How far behind its rate a loader may catch up in one burst: longer, and a pause of the machine counts as the server's loss. */
static const double MAX_BURST_S = 0.002;
/* How long replies are waited for at the end. */
static const double TAIL_S = 0.2;

struct stamp {
  unsigned long number;
  double sent_at;
};

struct load {
  int fd;
  size_t bytes;
  unsigned long next;  /* number of the next datagram */
  unsigned long first; /* the first number that is measured */
  double last_reply; /* when it came */
  struct histogram latencies;
};

/* What is sent: a stamp and then filler. */
static char datagram[MAX_DATAGRAM];

static void send_datagram(struct load *load) {
  memcpy(datagram, &(struct stamp){load->next++, now()}, sizeof(struct stamp));
  if (send(load->fd, datagram, load->bytes, 0) < 0 && errno != EAGAIN) fail("send", errno);
}

/* Takes one reply if there is one; what was sent before the measurement is not recorded. */
static int take_reply(struct load *load) {
  static char reply[MAX_DATAGRAM];
  ssize_t count = recv(load->fd, reply, sizeof reply, 0);
  if (count < 0 && errno != EAGAIN) fail("recv", errno);
  if (count < 0) return 0;
  const size_t filler = sizeof(struct stamp);
  int differs = (size_t)count != load->bytes || memcmp(reply + filler, datagram + filler, load->bytes - filler) != 0;
  if (differs) fail("an echo that differs", EBADMSG);
  load->last_reply = now();
  struct stamp stamp;
  memcpy(&stamp, reply, sizeof stamp);
  if (stamp.number >= load->first) record(&load->latencies, load->last_reply - stamp.sent_at);
  return 1;
}

static void run_window(struct load *load, int window, double seconds) {
  for (double end = now() + seconds; now() < end;) {
    if (now() - load->last_reply > STALL_S) { /* at the very beginning too */
      for (int i = 0; i < window; i++) send_datagram(load);
      load->last_reply = now();
    }
    poll(&(struct pollfd){.fd = load->fd, .events = POLLIN}, 1, 50);
    for (int i = 0; i < window && take_reply(load); i++) send_datagram(load);
  }
}

static void run_rate(struct load *load, int rate, double seconds) {
  double begin = now(), due = begin;
  for (double time; (time = now()) < begin + seconds;) {
    if (due < time - MAX_BURST_S) due = time - MAX_BURST_S;
    for (; due <= time; due += 1.0 / rate) send_datagram(load);
    while (take_reply(load));
  }
}

static void run(struct load *load, int windowed, int amount, double seconds) {
  if (windowed) run_window(load, amount, seconds);
  else run_rate(load, amount, seconds);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fputs("usage: udp_load PORT SERVER_PID BYTES window|rate N SETTLE_S SECONDS\n", stderr);
    return 2;
  }
  static struct load load;
  struct sockaddr_in address = loopback(atoi(argv[1]));
  pid_t server = atoi(argv[2]);
  int windowed = strcmp(argv[4], "window") == 0, amount = atoi(argv[5]);
  load.bytes = atoi(argv[3]);
  for (size_t i = 0; i < sizeof datagram; i++) datagram[i] = 'a' + i % 26;
  if (load.bytes < sizeof(struct stamp)) fail("a datagram too small for its stamp", EINVAL);
  load.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  setsockopt(load.fd, SOL_SOCKET, SO_RCVBUF, &(int){SOCKET_BUFFER}, sizeof(int));
  if (connect(load.fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect", errno);

  run(&load, windowed, amount, atof(argv[6]));
  memset(&load.latencies, 0, sizeof load.latencies);
  load.first = load.next;
  double began = now(), cpu = cpu_seconds(server);
  run(&load, windowed, amount, atof(argv[7]));
  double seconds = now() - began;
  cpu = cpu_seconds(server) - cpu;
  unsigned long replies = load.latencies.total, sent = load.next - load.first;
  for (double end = now() + TAIL_S; now() < end;) take_reply(&load);

  if (replies == 0) fail("no echo", ETIMEDOUT);
  printf("{\"perSecond\":%.0f,\"cpuUs\":%.3f,\"p50Us\":%d,\"p99Us\":%d,\"lost\":%.5f}\n", replies / seconds,
         cpu * 1e6 / replies, quantile_us(&load.latencies, 0.5), quantile_us(&load.latencies, 0.99),
         1 - (double)load.latencies.total / sent);
  return 0;
}
