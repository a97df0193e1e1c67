/* measure STDIN STDOUT COMMAND...: runs the command to its end, with those files as its input and output, and passes a
 * SIGTERM on to it. Prints what it took, together with the processes that it started and waited for: when it began and
 * ended, its CPU time, and the most memory that one of them occupied (VmHWM). The command never outlives it. */
#include "load.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static pid_t child;

static void pass_on(int signal) {
  if (child > 0) kill(child, signal);
}

static void redirect(const char *path, int flags, int to) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0 || dup2(fd, to) < 0) fail(path, errno);
}

static void run(char **arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  redirect(arguments[0], O_RDONLY, STDIN_FILENO);
  redirect(arguments[1], O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
  execvp(arguments[2], &arguments[2]);
  fail(arguments[2], errno);
}

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

int main(int count, char **arguments) {
  if (count < 4) fail("measure STDIN STDOUT COMMAND...", EINVAL);
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = pass_on}, NULL);
  double began = now();
  child = fork();
  if (child < 0) fail("fork", errno);
  if (child == 0) run(&arguments[1]);
  int status;
  struct rusage usage;
  while (wait4(child, &status, 0, &usage) < 0)
    if (errno != EINTR) fail("wait4", errno);
  printf("{\"began\":%.6f,\"ended\":%.6f,\"cpuS\":%.6f,\"peakKiB\":%ld,\"code\":%d}\n", began, now(),
         seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss,
         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
