/* Load on a chat server that speaks JIM or IRC.
 * room: all connections are in one room; the senders each say one thing and the next when all other members have heard it:
 * in whichever order a server serves them, every delivery counts, and so does its time. Then they keep to the clock: in
 * turn for each of RATES ("50,200") they say so many things a second, evenly spread, however long it takes; the time of a
 * delivery counts from when its message was due. direct: each connection sends its neighbour a message, and the next when
 * the server has acknowledged it. hold: logs all in, prints a line and holds them until stdin ends. */
#define _GNU_SOURCE
#include "load.h"
#include <fcntl.h>
#include <sys/epoll.h>

enum { MAX_EVENTS = 512, MAX_LINE = 512, TEXT_BYTES = 64, LOGINS_AT_ONCE = 8 };
/* How long the server may take to start, and any of the logins. */
enum { PATIENCE_S = 60 };
/* How long all are silent before the senders keep to the clock. */
enum { SILENCE_S = 1 };

struct connection {
  int fd, index;
  int ready;  /* answers that it still waits for before it is in the room */
  int length; /* of the line under way */
  int heard;  /* how many have got what it said last */
  double sent_at;
  char line[MAX_LINE];
};

static struct connection *connections;
static int count, senders, epoll, irc, direct, waiting, speaking;
static unsigned long heard, heard_bytes;
/* Seconds between two messages, 0: a sender waits for its listeners; when the first was due, and how many were said. */
static double pace, pace_began;
static long paced;
static struct histogram latencies;

static void send_text(struct connection *connection, const char *text, size_t size) {
  if (write(connection->fd, text, size) != (ssize_t)size) fail("write", errno);
}

/* `mark` comes back with the text: who says it, or which one it is. */
static void say(struct connection *connection, long mark) {
  char line[MAX_LINE], text[TEXT_BYTES + 1];
  int length = snprintf(text, sizeof text, "^%06ld ", mark);
  memset(text + length, 'x', TEXT_BYTES - length);
  text[TEXT_BYTES] = 0;
  int size;
  if (irc) {
    size = snprintf(line, sizeof line, "PRIVMSG #room :%s\r\n", text);
  } else if (direct) {
    int to = (connection->index + 1) % count;
    size = snprintf(line, sizeof line, "{\"action\":\"msg\",\"time\":1,\"to\":\"u%d\",\"message\":\"%s\"}\n", to, text);
  } else {
    size = snprintf(line, sizeof line, "{\"action\":\"msg\",\"time\":1,\"to\":\"#room\",\"message\":\"%s\"}\n", text);
  }
  connection->heard = 0;
  connection->sent_at = now();
  send_text(connection, line, size);
}

/* The server may still be starting. */
static int connect_in_time(int port) {
  struct sockaddr_in address = loopback(port);
  for (double end = now() + PATIENCE_S;;) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket", errno);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (errno != ECONNREFUSED || now() > end) fail("connect", errno);
    close(fd);
    usleep(10000);
  }
}

static void open_connection(struct connection *connection, int index, int port) {
  char line[MAX_LINE];
  *connection = (struct connection){.fd = connect_in_time(port), .index = index, .ready = irc ? 1 : direct ? 1 : 2};
  const char *form = irc      ? "NICK u%d\r\nUSER u 0 * :u\r\nJOIN #room\r\n"
                     : direct ? "{\"action\":\"presence\",\"time\":1,\"user\":{\"account_name\":\"u%d\"}}\n"
                              : "{\"action\":\"presence\",\"time\":1,\"user\":{\"account_name\":\"u%d\"}}\n"
                                "{\"action\":\"join\",\"time\":1,\"room\":\"#room\"}\n";
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
  waiting++;
  send_text(connection, line, snprintf(line, sizeof line, form, index));
}

static int is_answer(const struct connection *connection) {
  static const char response[] = "{\"response\"";
  return memcmp(connection->line, response, sizeof response - 1) == 0;
}

/* The mark of the text; -1: it is something else. */
static long mark_of(const struct connection *connection) {
  const char *mark = memchr(connection->line, '^', connection->length);
  return mark == NULL ? -1 : atol(mark + 1);
}

static void hear(long mark, int bytes, double at) {
  heard++;
  heard_bytes += bytes;
  if (pace > 0) {
    record(&latencies, at - (pace_began + mark * pace));
    return;
  }
  struct connection *sender = &connections[mark];
  record(&latencies, at - sender->sent_at);
  if (++sender->heard == (direct ? 1 : count - 1) && speaking) say(sender, mark);
}

static void say_what_is_due(void) {
  for (; pace > 0 && speaking && now() >= pace_began + paced * pace; paced++) say(&connections[paced % senders], paced);
}

static void take_line(struct connection *connection, double at) {
  if (connection->ready > 0) {
    int done = irc ? memmem(connection->line, connection->length, " 366 ", 5) != NULL : is_answer(connection);
    if (done && --connection->ready == 0) waiting--;
    return;
  }
  long mark = !direct ? mark_of(connection) : is_answer(connection) ? connection->index : -1;
  if (mark >= 0) hear(mark, connection->length + 1, at);
}

static ssize_t receive(struct connection *connection) {
  static char bytes[256 * 1024];
  ssize_t size = read(connection->fd, bytes, sizeof bytes);
  if (size < 0) fail("read", errno);
  double read_at = now();
  for (char *at = bytes, *end = bytes + size; at < end;) {
    char *newline = memchr(at, '\n', end - at);
    int part = (newline == NULL ? end : newline) - at;
    int room = MAX_LINE - connection->length;
    memcpy(connection->line + connection->length, at, part < room ? part : room);
    connection->length += part < room ? part : room;
    if (newline == NULL) break;
    take_line(connection, read_at);
    connection->length = 0;
    at = newline + 1;
  }
  return size;
}

/* Serves what comes until `end`, or until no more than so many wait to be logged in. */
static void run(double end, int most_waiting) {
  while (now() < end && waiting > most_waiting) {
    struct epoll_event events[MAX_EVENTS];
    say_what_is_due();
    int ready = epoll_wait(epoll, events, MAX_EVENTS, pace > 0 ? 1 : 100);
    for (int i = 0; i < ready; i++)
      if (receive(events[i].data.ptr) == 0) fail("the server closed a connection", ECONNRESET);
  }
}

static void run_for(double seconds) { run(now() + seconds, -1); }

static void log_in(int port) {
  for (int i = 0; i < count; i++) {
    open_connection(&connections[i], i, port);
    int most_waiting = i == count - 1 ? 0 : LOGINS_AT_ONCE - 1; /* a backlog may be short */
    run(now() + PATIENCE_S, most_waiting);
    if (waiting > most_waiting) fail("nobody could log in", ETIMEDOUT);
  }
}

/* From now on nothing waits for an answer: the senders keep to the clock. */
static void keep_pace(double rate) {
  speaking = 0;
  run_for(SILENCE_S); /* what was said is heard */
  pace = 1 / rate;
  paced = 0;
  pace_began = now();
  speaking = 1;
}

static void print_pace(double rate, pid_t server, double seconds) {
  memset(&latencies, 0, sizeof latencies);
  heard = 0;
  double began = now(), cpu = cpu_seconds(server);
  run_for(seconds);
  cpu = cpu_seconds(server) - cpu;
  printf("{\"rate\":%.0f,\"perSecond\":%.0f,\"cpuUs\":%.3f,\"p50Us\":%d,\"p99Us\":%d}", rate, heard / (now() - began),
         cpu * 1e6 / heard, quantile_us(&latencies, 0.5), quantile_us(&latencies, 0.99));
}

/* Each of the rates in turn: "50,200". */
static void print_paces(const char *rates, pid_t server, double settle, double seconds) {
  printf(",\"paced\":[");
  for (const char *rate = rates; rate != NULL; rate = strchr(rate, ',')) {
    if (*rate == ',') putchar(*rate++);
    keep_pace(atof(rate));
    run_for(settle);
    print_pace(atof(rate), server, seconds);
  }
  puts("]}");
}

static void print_figures(pid_t server, double seconds) {
  memset(&latencies, 0, sizeof latencies);
  heard = heard_bytes = 0;
  double began = now(), cpu = cpu_seconds(server);
  run_for(seconds);
  cpu = cpu_seconds(server) - cpu;
  for (int i = 0; i < senders; i++)
    if (connections[i].sent_at < began) fail("a message was lost", ETIMEDOUT);
  printf("{\"perSecond\":%.0f,\"cpuUs\":%.3f,\"p50Us\":%d,\"p99Us\":%d,\"bytes\":%.1f", heard / (now() - began),
         cpu * 1e6 / heard, quantile_us(&latencies, 0.5), quantile_us(&latencies, 0.99), (double)heard_bytes / heard);
}

int main(int argc, char **argv) {
  if (argc != 10) {
    fputs("usage: chat_load PORT SERVER_PID room|direct|hold jim|irc CONNECTIONS SENDERS RATES SETTLE_S SECONDS\n", stderr);
    return 2;
  }
  int port = atoi(argv[1]), hold = strcmp(argv[3], "hold") == 0;
  direct = hold || strcmp(argv[3], "direct") == 0;
  irc = strcmp(argv[4], "irc") == 0;
  count = atoi(argv[5]);
  senders = atoi(argv[6]);
  epoll = epoll_create1(0);
  connections = calloc(count, sizeof *connections);
  log_in(port);
  if (hold) {
    printf("{\"open\":%d}\n", count);
    fflush(stdout);
    for (char byte; read(STDIN_FILENO, &byte, 1) > 0;);
    return 0;
  }
  run_for(0.3); /* what the joins have brought */
  speaking = 1;
  for (int i = 0; i < (direct ? count : senders); i++) say(&connections[i], i);
  run_for(atof(argv[8]));
  print_figures(atoi(argv[2]), atof(argv[9]));
  if (direct) puts("}");
  else print_paces(argv[7], atoi(argv[2]), atof(argv[8]), atof(argv[9]));

  /* To close with bytes unread would be a reset, and a line in the server's log; the figures are printed after it. */
  speaking = 0;
  for (int i = 0; i < count; i++) shutdown(connections[i].fd, SHUT_WR);
  for (int i = 0; i < count; i++) while (receive(&connections[i]) > 0);
  return 0;
}
