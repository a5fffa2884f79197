// Host time of cuLaunchKernel itself, called from C: what no launcher can be faster than.
#include <time.h>

typedef int (*Launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                      void **);

// Microseconds per launch of one block of `threads` with three pointer parameters on the legacy stream; negative: the
// driver's error.
double bare_launch(Launch launch, void *function, unsigned threads, void **pointers, int count) {
  void *parameters[3] = {&pointers[0], &pointers[1], &pointers[2]};
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 0; i < count; ++i) {
    int status = launch(function, 1, 1, 1, threads, 1, 1, 0, 0, parameters, 0);
    if (status) return -status;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  return ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) * 1e-3 / count;
}
