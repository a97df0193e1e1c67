/* What the load generators share: clocks, a latency histogram, the end on an error. Every one prints one line of JSON. */
#ifndef LOAD_H
#define LOAD_H
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what, int error) {
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  exit(1);
}

static inline double seconds_of(clockid_t clock) {
  struct timespec time;
  return clock_gettime(clock, &time) == 0 ? time.tv_sec + time.tv_nsec / 1e9 : 0;
}

static inline double now(void) { return seconds_of(CLOCK_MONOTONIC); }

/* CPU seconds of a process, all its threads, user and system, in nanoseconds: finer than the ticks of /proc. */
static inline double cpu_seconds(pid_t pid) {
  clockid_t clock;
  int error = clock_getcpuclockid(pid, &clock);
  if (error != 0) fail("the server's CPU clock", error);
  return seconds_of(clock);
}

static inline struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Latencies in buckets of one microsecond; what is above the last counts as the last. */
enum { HISTOGRAM_US = 1000000 };

struct histogram {
  unsigned long total;
  unsigned count[HISTOGRAM_US + 1];
};

static inline void record(struct histogram *latencies, double seconds) {
  double us = seconds * 1e6;
  latencies->count[us < 0 ? 0 : us > HISTOGRAM_US ? HISTOGRAM_US : (int)us]++;
  latencies->total++;
}

static inline int quantile_us(const struct histogram *latencies, double share) {
  unsigned long below = 0;
  for (int us = 0; us < HISTOGRAM_US; us++) {
    below += latencies->count[us];
    if (below >= share * latencies->total) return us;
  }
  return HISTOGRAM_US;
}
#endif
