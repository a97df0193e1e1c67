/* warm_memory MIB: has the host of a virtual machine give it so much memory, and leaves nearly all of it free while it runs.
 * A host takes back what is free, and giving it again takes longer than the transfer of a file. It takes whole blocks only:
 * one page in each stays occupied. */
#include "load.h"
#include <sys/mman.h>

enum { PAGE = 4096, BLOCK = 64 * 1024 };

int main(int count, char **arguments) {
  size_t size = (size_t)atoi(arguments[count - 1]) << 20;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap", errno);
  madvise(memory, size, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < size; at += PAGE) memory[at] = 1;
  for (size_t at = 0; at < size; at += BLOCK) madvise(memory + at + PAGE, BLOCK - PAGE, MADV_DONTNEED);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF);
}
