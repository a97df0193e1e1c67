/* Closed-loop TCP echo load: each connection sends its messages in one write, waits until every byte of them has come back,
 * compares them and sends again.
 * With frames, each message is preceded by its length (4 bytes, big-endian): see docs/protocols/framing.md. */
#define _GNU_SOURCE
#include "load.h"
#include <linux/tcp.h>
#include <sys/epoll.h>

enum { MAX_EVENTS = 512, MAX_BATCH = 64 * 1024 };

struct connection {
  int fd;
  size_t received; /* bytes of the batch that is under way */
  double sent_at;
  unsigned long batches;
};

static char batch[MAX_BATCH];
static size_t batch_size;

static void fill_batch(size_t bytes, int messages, int framed) {
  batch_size = (bytes + (framed ? 4 : 0)) * messages;
  if (batch_size > MAX_BATCH) fail("a batch above 64 KiB", EMSGSIZE);
  char *at = batch;
  for (int i = 0; i < messages; i++) {
    if (framed) at = mempcpy(at, &(uint32_t){htonl(bytes)}, 4);
    for (size_t j = 0; j < bytes; j++) *at++ = 'a' + (i + j) % 26;
  }
}

static void send_batch(struct connection *connection) {
  connection->received = 0;
  connection->sent_at = now();
  if (write(connection->fd, batch, batch_size) != (ssize_t)batch_size) fail("write", errno);
}

static void open_connection(struct connection *connection, int port, int epoll) {
  struct sockaddr_in address = loopback(port);
  int fd = connection->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect", errno);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  send_batch(connection);
}

/* Segments that brought data. Without Nagle's algorithm on a loopback they are the server's writes. */
static unsigned long data_segments(const struct connection *connections, int count) {
  unsigned long segments = 0;
  for (int i = 0; i < count; i++) {
    struct tcp_info facts = {0};
    getsockopt(connections[i].fd, IPPROTO_TCP, TCP_INFO, &facts, &(socklen_t){sizeof facts});
    segments += facts.tcpi_data_segs_in;
  }
  return segments;
}

/* Jain's index of fairness: 1 when all connections got the same, 1/n when one got everything. */
static double fairness(const struct connection *connections, int count) {
  double sum = 0, squares = 0;
  for (int i = 0; i < count; i++) {
    sum += connections[i].batches;
    squares += (double)connections[i].batches * connections[i].batches;
  }
  return squares > 0 ? sum * sum / (count * squares) : 0;
}

/* Receives what has come of the batch under way. */
static void receive(struct connection *connection) {
  static char reply[MAX_BATCH];
  ssize_t count = read(connection->fd, reply, sizeof reply);
  if (count <= 0) fail("the server closed a connection", count < 0 ? errno : ECONNRESET);
  int differs = connection->received + count > batch_size || memcmp(reply, batch + connection->received, count) != 0;
  if (differs) fail("an echo that differs", EBADMSG);
  connection->received += count;
}

/* A complete batch is recorded, and the next one sent. */
static void answer(struct connection *connection, struct histogram *latencies) {
  receive(connection);
  if (connection->received < batch_size) return;
  record(latencies, now() - connection->sent_at);
  connection->batches++;
  send_batch(connection);
}

static void run(int epoll, double seconds, struct histogram *latencies) {
  for (double end = now() + seconds; now() < end;) {
    struct epoll_event events[MAX_EVENTS];
    int ready = epoll_wait(epoll, events, MAX_EVENTS, 100);
    for (int i = 0; i < ready; i++) answer(events[i].data.ptr, latencies);
  }
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fputs("usage: tcp_load PORT SERVER_PID CONNECTIONS BYTES IN_FLIGHT 0|1(framed) SETTLE_S SECONDS\n", stderr);
    return 2;
  }
  int port = atoi(argv[1]), count = atoi(argv[3]), in_flight = atoi(argv[5]), epoll = epoll_create1(0);
  pid_t server = atoi(argv[2]);
  fill_batch(atoi(argv[4]), in_flight, atoi(argv[6]));
  struct connection *connections = calloc(count, sizeof *connections);
  for (int i = 0; i < count; i++) open_connection(&connections[i], port, epoll);

  static struct histogram unmeasured, latencies;
  run(epoll, atof(argv[7]), &unmeasured);
  for (int i = 0; i < count; i++) connections[i].batches = 0;
  unsigned long segments = data_segments(connections, count);
  double began = now(), cpu = cpu_seconds(server);
  run(epoll, atof(argv[8]), &latencies);
  cpu = cpu_seconds(server) - cpu;
  double seconds = now() - began;
  segments = data_segments(connections, count) - segments;

  /* To close with bytes unread would be a reset, and a line in the server's log. */
  for (int i = 0; i < count; i++) while (connections[i].received < batch_size) receive(&connections[i]);
  if (latencies.total == 0) fail("no echo", ETIMEDOUT);
  double messages = (double)latencies.total * in_flight;
  printf("{\"perSecond\":%.0f,\"cpuUs\":%.3f,\"p50Us\":%d,\"p99Us\":%d,\"jain\":%.3f,\"segments\":%.3f}\n",
         messages / seconds, cpu * 1e6 / messages, quantile_us(&latencies, 0.5), quantile_us(&latencies, 0.99),
         fairness(connections, count), (double)segments / latencies.total);
  return 0;
}
