// A call prepared by runtime/call.py (`CallSpec`), read into C++ once.
#pragma once

#include <nanobind/nanobind.h>

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "arguments.h"
#include "driver.h"

constexpr size_t kTensorMapBytes = 128, kMaxTensorMaps = 16, kMaxParameters = 256, kMaxKnownMaps = 1024;

// Where a parameter's value comes from; the numbers are those of runtime/call.py.
enum Source { kArgumentPointer = 0, kArgumentScalar = 1, kAllocated = 2 };

struct Slot {
  size_t offset;
  int source;
  size_t index;
  char format;
  uint64_t alignment;  // of a pointer, in bytes
};

struct TensorMap {
  nb::object encode;  // address -> 128 bytes
  Slot tensor;
  std::unordered_map<uint64_t, std::array<char, kTensorMapBytes>> known;

  void write(uint64_t pointer, char *at) {
    auto found = known.find(pointer);
    if (found == known.end()) {
      nb::bytes code = nb::cast<nb::bytes>(encode(pointer));
      if (code.size() != kTensorMapBytes) throw std::runtime_error("a tensor map of the wrong size");
      if (known.size() >= kMaxKnownMaps) known.clear();  // addresses that never repeat must not pile up
      found = known.emplace(pointer, std::array<char, kTensorMapBytes>{}).first;
      std::memcpy(found->second.data(), code.c_str(), kTensorMapBytes);
    }
    std::memcpy(at, found->second.data(), kTensorMapBytes);
  }
};

struct Kernel {
  void *function;
  LaunchConfig config;
  std::string attributes;
  std::vector<TensorMap> maps;
};

struct Entry {
  void *context;
  std::string parameters;
  std::vector<size_t> offsets;
  std::vector<Slot> slots;
  std::vector<nb::object> allocate;
  size_t outputs;
  std::vector<Kernel> kernels;
  nb::object current_stream;  // device index -> handle, where `stream_api` is null
  const dlpack::ExchangeApi *stream_api = nullptr;
  int device_index;

  int traverse(visitproc visit, void *arg) {
    for (const nb::object &make : allocate) Py_VISIT(make.ptr());
    for (const Kernel &kernel : kernels) {
      for (const TensorMap &map : kernel.maps) Py_VISIT(map.encode.ptr());
    }
    Py_VISIT(current_stream.ptr());
    return 0;
  }
};

namespace reading {

inline std::string bytes(nb::handle item) {
  nb::bytes b = nb::cast<nb::bytes>(item);
  return std::string(b.c_str(), b.size());
}

inline Slot slot(nb::handle item) {
  nb::tuple t = nb::cast<nb::tuple>(item);
  return {nb::cast<size_t>(t[0]), nb::cast<int>(t[1]), nb::cast<size_t>(t[2]), nb::cast<nb::str>(t[3]).c_str()[0],
          nb::cast<uint64_t>(t[4])};
}

inline Kernel kernel(nb::handle item) {
  Kernel kernel;
  kernel.function = reinterpret_cast<void *>(nb::cast<uintptr_t>(item.attr("function")));
  nb::tuple grid = nb::cast<nb::tuple>(item.attr("grid")), block = nb::cast<nb::tuple>(item.attr("block"));
  for (size_t i = 0; i < 3; ++i) {
    kernel.config.grid[i] = nb::cast<unsigned>(grid[i]);
    kernel.config.block[i] = nb::cast<unsigned>(block[i]);
  }
  kernel.config.shared = nb::cast<unsigned>(item.attr("shared_bytes"));
  kernel.attributes = bytes(item.attr("attributes"));
  for (nb::handle map : nb::cast<nb::tuple>(item.attr("tensor_maps"))) {
    nb::tuple t = nb::cast<nb::tuple>(map);
    kernel.maps.push_back({nb::cast<nb::object>(t[0]), slot(t[1]), {}});
  }
  if (kernel.maps.size() > kMaxTensorMaps) throw std::runtime_error("too many tensor maps");
  return kernel;
}

inline void entry(nb::handle spec, Entry &entry) {
  entry.context = reinterpret_cast<void *>(nb::cast<uintptr_t>(spec.attr("context")));
  entry.parameters = bytes(spec.attr("parameters"));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("offsets"))) entry.offsets.push_back(nb::cast<size_t>(item));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("slots"))) entry.slots.push_back(slot(item));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("allocate"))) {
    entry.allocate.push_back(nb::cast<nb::object>(item));
  }
  entry.outputs = nb::cast<size_t>(spec.attr("outputs"));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("kernels"))) entry.kernels.push_back(kernel(item));
  entry.current_stream = nb::cast<nb::object>(spec.attr("current_stream"));
  entry.stream_api = find_api(nb::cast<nb::object>(spec.attr("stream_type")).ptr());
  entry.device_index = nb::cast<int>(spec.attr("device_index"));
  if (entry.offsets.size() > kMaxParameters) throw std::runtime_error("too many kernel parameters");
  if (entry.parameters.size() > kMaxParameters * 8) throw std::runtime_error("kernel parameters are too large");
}

}  // namespace reading
