// The four functions of libcuda that a launch calls, opened at run time: neither building nor importing needs CUDA.
// Declarations follow cuda.h (CUDA Driver API).
#pragma once

#include <dlfcn.h>

#include <stdexcept>
#include <string>

struct LaunchConfig {  // CUlaunchConfig
  unsigned grid[3], block[3], shared;
  void *stream;
  void *attributes;
  unsigned count;
};
constexpr size_t kAttributeBytes = 72;  // CUlaunchAttribute

struct Driver {
  int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
  int (*launch_ex)(const LaunchConfig *, void *, void **, void **);
  int (*get_context)(void **);
  int (*set_context)(void *);

  explicit Driver(const char *path) : library_(dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
    if (!library_) throw std::runtime_error(dlerror());
    find(launch, "cuLaunchKernel");
    find(launch_ex, "cuLaunchKernelEx");
    find(get_context, "cuCtxGetCurrent");
    find(set_context, "cuCtxSetCurrent");
  }

 private:
  template <typename Function>
  void find(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (!function) throw std::runtime_error(std::string("libcuda has no ") + name);
  }

  void *library_;
};

struct RestoreContext {  // makes the caller's context current again, also when a launch fails
  const Driver &driver;
  void *context;
  ~RestoreContext() {
    if (context) driver.set_context(context);
  }
};
