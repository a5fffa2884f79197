// A stand-in for libcuda that records what it is asked to do. It has two devices of compute capability 9.0.
// log_text() returns one line per call; fail_next(name, status) makes the next call of that name fail.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int CUresult;
typedef uint64_t u64;
static char text[1 << 16];
static char failing[64];
static int failing_status;
static void *current;
static int parameter_sizes[64], parameter_count;

const char *log_text(void) { return text; }
void log_clear(void) { text[0] = 0; }
void fail_next(const char *name, int status) { snprintf(failing, sizeof failing, "%s", name); failing_status = status; }
void set_current(void *context) { current = context; }
void *get_current(void) { return current; }
void expect_parameters(const int *sizes, int count) {
  memcpy(parameter_sizes, sizes, count * sizeof(int));
  parameter_count = count;
}
static int failed(const char *name) {
  if (strcmp(failing, name)) return 0;
  failing[0] = 0;
  return failing_status;
}
#define RECORD(...) snprintf(text + strlen(text), sizeof text - strlen(text), __VA_ARGS__)
#define CHECK(name) do { int s = failed(name); if (s) return s; } while (0)

CUresult cuInit(unsigned flags) { return 0; }
CUresult cuDeviceGetCount(int *count) { CHECK("cuDeviceGetCount"); *count = 2; return 0; }
CUresult cuDeviceGet(int *device, int index) { if (index > 1) return 101; *device = index; return 0; }
CUresult cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Stand-in %d", device); return 0; }
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
    case 16: *value = 132; return 0;
    case 75: *value = 9; return 0;
    case 76: *value = 0; return 0;
    case 97: *value = 232448; return 0;
    default: return 1;
  }
}
CUresult cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)(uintptr_t)(0xC0 + device); return 0; }
CUresult cuCtxGetCurrent(void **context) { *context = current; return 0; }
CUresult cuCtxSetCurrent(void *context) { current = context; RECORD("context %p\n", context); return 0; }
CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned n, int *options, void **values) {
  if (n == 2 && !strcmp(failing, "cuModuleLoadDataEx")) snprintf(values[0], 100, "ptxas error : bad instruction");
  CHECK("cuModuleLoadDataEx");
  RECORD("load %.4s in %p\n", (const char *)image + (*(const char *)image == 0x7f), current);
  *module = (void *)0xAB;
  return 0;
}
CUresult cuModuleGetFunction(void **function, void *module, const char *name) {
  CHECK("cuModuleGetFunction");
  RECORD("function %s\n", name);
  *function = (void *)(uintptr_t)(0xF0 + name[strlen(name) - 1] % 8);
  return 0;
}
CUresult cuFuncGetAttribute(int *value, int attribute, void *function) { *value = attribute * 10; return 0; }
CUresult cuFuncSetAttribute(void *function, int attribute, int value) { RECORD("set %d %d\n", attribute, value); return 0; }

static void record_parameters(void **parameters) {
  for (int i = 0; i < parameter_count; ++i) {
    RECORD(" ");
    for (int j = parameter_sizes[i] - 1; j >= 0; --j) RECORD("%02x", ((unsigned char *)parameters[i])[j]);
  }
  RECORD("\n");
}
CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, void *stream, void **parameters, void **extra) {
  CHECK("cuLaunchKernel");
  RECORD("launch %p %u,%u,%u %u,%u,%u %u %p in %p:", function, gx, gy, gz, bx, by, bz, shared, stream, current);
  record_parameters(parameters);
  return 0;
}
struct Config { unsigned grid[3], block[3], shared; void *stream; unsigned char *attributes; unsigned count; };
CUresult cuLaunchKernelEx(const struct Config *c, void *function, void **parameters, void **extra) {
  CHECK("cuLaunchKernelEx");
  RECORD("launch_ex %p %u,%u,%u %u,%u,%u %u %p", function, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1],
         c->block[2], c->shared, c->stream);
  for (unsigned i = 0; i < c->count; ++i) {
    int *attribute = (int *)(c->attributes + 72 * i);
    RECORD(" attribute %d=%d,%d,%d", attribute[0], attribute[2], attribute[3], attribute[4]);
  }
  RECORD(":");
  record_parameters(parameters);
  return 0;
}
CUresult cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address, const u64 *sizes, const u64 *strides,
                                const unsigned *box, const unsigned *steps, int interleave, int swizzle, int l2, int fill) {
  CHECK("cuTensorMapEncodeTiled");
  if ((uintptr_t)map % 64) return 1;
  RECORD("encode %d rank %u at %p sizes", type, rank, address);
  for (unsigned i = 0; i < rank; ++i) RECORD(" %llu", (unsigned long long)sizes[i]);
  RECORD(" strides");
  for (unsigned i = 0; i + 1 < rank; ++i) RECORD(" %llu", (unsigned long long)strides[i]);
  RECORD(" box");
  for (unsigned i = 0; i < rank; ++i) RECORD(" %u", box[i]);
  RECORD(" swizzle %d l2 %d fill %d\n", swizzle, l2, fill);
  memset(map, 0x5A, 128);
  return 0;
}
CUresult cuTensorMapEncodeIm2col(void *map, int type, unsigned rank, void *address, const u64 *sizes, const u64 *strides,
                                 const int *lower, const int *upper, unsigned channels, unsigned pixels,
                                 const unsigned *steps, int interleave, int swizzle, int l2, int fill) {
  CHECK("cuTensorMapEncodeIm2col");
  if ((uintptr_t)map % 64) return 1;
  RECORD("encode_im2col %d rank %u at %p sizes", type, rank, address);
  for (unsigned i = 0; i < rank; ++i) RECORD(" %llu", (unsigned long long)sizes[i]);
  RECORD(" strides");
  for (unsigned i = 0; i + 1 < rank; ++i) RECORD(" %llu", (unsigned long long)strides[i]);
  RECORD(" corners");
  for (unsigned i = 0; i + 2 < rank; ++i) RECORD(" %d:%d", lower[i], upper[i]);
  RECORD(" channels %u pixels %u steps", channels, pixels);
  for (unsigned i = 0; i < rank; ++i) RECORD(" %u", steps[i]);
  RECORD(" swizzle %d l2 %d fill %d\n", swizzle, l2, fill);
  memset(map, 0x5B, 128);
  return 0;
}
CUresult cuGetErrorName(int status, const char **name) { *name = status == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_OTHER"; return 0; }
CUresult cuGetErrorString(int status, const char **words) { *words = "something went wrong"; return 0; }
