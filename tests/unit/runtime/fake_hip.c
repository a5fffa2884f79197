// A stand-in for libamdhip64 that records what it is asked to do. It has two devices, a gfx942 and a gfx1100.
// log_text() returns one line per call; fail_next(name, status) makes the next call of that name fail.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int hipError_t;
static char text[1 << 16];
static char failing[64];
static int failing_status, device_now, initialised;
static int parameter_sizes[64], parameter_count;

const char *log_text(void) { return text; }
void log_clear(void) { text[0] = 0; device_now = 0; }
void fail_next(const char *name, int status) { snprintf(failing, sizeof failing, "%s", name); failing_status = status; }
void expect_parameters(const int *sizes, int count) {
  memcpy(parameter_sizes, sizes, count * sizeof(int));
  parameter_count = count;
}
static int failed(const char *name) {
  if (!initialised) return 3;
  if (strcmp(failing, name)) return 0;
  failing[0] = 0;
  return failing_status;
}
#define RECORD(...) snprintf(text + strlen(text), sizeof text - strlen(text), __VA_ARGS__)
#define CHECK(name) do { int s = failed(name); if (s) return s; } while (0)

hipError_t hipInit(unsigned flags) { initialised = 1; return flags ? 1 : 0; }
hipError_t hipGetDeviceCount(int *count) { CHECK("hipGetDeviceCount"); *count = 2; return 0; }
hipError_t hipGetDevice(int *device) { CHECK("hipGetDevice"); *device = device_now; return 0; }
hipError_t hipSetDevice(int device) {
  CHECK("hipSetDevice");
  if (device < 0 || device > 1) return 101;
  device_now = device;
  RECORD("device %d\n", device);
  return 0;
}
hipError_t hipGetDevicePropertiesR0600(unsigned char *properties, int device) {
  if (device > 1) return 101;
  memset(properties, 0, 1472);
  snprintf((char *)properties, 256, "Stand-in %d", device);
  *(uint64_t *)(properties + 296) = 65536;
  *(int *)(properties + 308) = device ? 32 : 64;
  *(int *)(properties + 388) = device ? 48 : 304;
  snprintf((char *)properties + 1160, 256, device ? "gfx1100" : "gfx942:sramecc+:xnack-");
  return 0;
}
hipError_t hipModuleLoadData(void **module, const void *image) {
  CHECK("hipModuleLoadData");
  if (memcmp(image, "\x7f" "ELF", 4)) return 209;
  RECORD("load on %d\n", device_now);
  *module = (void *)(uintptr_t)(0xAB + device_now);
  return 0;
}
hipError_t hipModuleGetFunction(void **function, void *module, const char *name) {
  CHECK("hipModuleGetFunction");
  if ((uintptr_t)module != (uintptr_t)(0xAB + device_now)) return 400;
  RECORD("function %s\n", name);
  *function = (void *)(uintptr_t)(0xF0 + name[strlen(name) - 1] % 8);
  return 0;
}
hipError_t hipFuncGetAttribute(int *value, int attribute, void *function) {
  if (!function) return 98;
  *value = attribute * 10;
  return 0;
}
static hipError_t record(const char *what, void *function, const unsigned *sizes, void *stream, void **parameters) {
  if (!function || !parameters) return 1;
  RECORD("%s %p %u,%u,%u %u,%u,%u %u %p on %d:", what, function, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4],
         sizes[5], sizes[6], stream, device_now);
  for (int i = 0; i < parameter_count; ++i) {
    RECORD(" ");
    for (int j = parameter_sizes[i] - 1; j >= 0; --j) RECORD("%02x", ((unsigned char *)parameters[i])[j]);
  }
  RECORD("\n");
  return 0;
}
hipError_t hipModuleLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                 unsigned shared, void *stream, void **parameters, void **extra) {
  CHECK("hipModuleLaunchKernel");
  if (extra) return 1;
  return record("launch", f, (unsigned[]){gx, gy, gz, bx, by, bz, shared}, stream, parameters);
}
hipError_t hipModuleLaunchCooperativeKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                            unsigned bz, unsigned shared, void *stream, void **parameters) {
  CHECK("hipModuleLaunchCooperativeKernel");
  return record("cooperative", f, (unsigned[]){gx, gy, gz, bx, by, bz, shared}, stream, parameters);
}
const char *hipGetErrorName(hipError_t status) { return status == 719 ? "hipErrorLaunchFailure" : "hipErrorUnknown"; }
const char *hipGetErrorString(hipError_t status) { return "unspecified launch failure"; }
