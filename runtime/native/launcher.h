// One launch plan's kernels: looks a call up, fills in addresses and scalars, launches.
#pragma once

#include "driver.h"
#include "entry.h"
#include "scalars.h"
#include "table.h"

constexpr int kCudaDevice = 2;  // DLPack's number

class Launcher {
 public:
  Launcher(const char *path, uint64_t by_value, nb::object miss, nb::object on_call, nb::object on_error,
           nb::object on_misaligned)
      : driver_(path), by_value_(by_value), miss_(miss), on_call_(on_call), on_error_(on_error),
        on_misaligned_(on_misaligned) {}

  void add(nb::tuple args, nb::handle spec) {
    Arguments given;
    if (!reader_.read(args.ptr(), nullptr, by_value_, given)) return;
    auto entry = std::make_shared<Entry>();
    reading::entry(spec, *entry);
    entries_.add(given, std::move(entry));
  }

  nb::object call_or_miss(nb::tuple args, nb::object stream) {
    void *queue = stream.is_none() ? nullptr : reinterpret_cast<void *>(nb::cast<uintptr_t>(stream));
    nb::object result = call(args.ptr(), stream.is_none() ? nullptr : &queue);
    return result.is_valid() ? result : miss_;
  }

  PyObject *operator()(PyObject *args, PyObject *keywords) {
    if (!keywords || !PyDict_GET_SIZE(keywords)) {
      nb::object result = call(args, nullptr);
      if (result.is_valid()) return result.release().ptr();
    }
    return PyObject_Call(on_call_.ptr(), args, keywords);
  }

  int traverse(visitproc visit, void *arg) {
    Py_VISIT(miss_.ptr());
    Py_VISIT(on_call_.ptr());
    Py_VISIT(on_error_.ptr());
    Py_VISIT(on_misaligned_.ptr());
    if (int status = reader_.traverse(visit, arg)) return status;
    return entries_.traverse(visit, arg);
  }

  void clear() {
    entries_.clear();
    on_call_ = on_error_ = on_misaligned_ = nb::none();
  }

 private:
  // `stream` is null for the current one. An invalid object: a call that was not added, or whose scalars do not fit.
  nb::object call(PyObject *args, void **stream) {
    Arguments given;
    if (!reader_.read(args, nullptr, by_value_, given)) return nb::object();
    std::shared_ptr<Entry> entry = entries_.find(given);
    return entry ? launch(*entry, args, given, stream) : nb::object();
  }

  nb::object launch(Entry &entry, PyObject *args, const Arguments &given, void **stream) {
    alignas(16) char buffer[kMaxParameters * 8];
    void *parameters[kMaxParameters + kMaxTensorMaps];
    std::memcpy(buffer, entry.parameters.data(), entry.parameters.size());
    for (size_t i = 0; i < entry.offsets.size(); ++i) parameters[i] = buffer + entry.offsets[i];
    if (!fill_scalars(entry, args, buffer)) return nb::object();
    fill(entry, kArgumentPointer, given.pointers, buffer);
    void *before = nullptr;
    driver_.get_context(&before);
    if (before != entry.context) check("cuCtxSetCurrent", driver_.set_context(entry.context));
    RestoreContext restore{driver_, before == entry.context ? nullptr : before};
    std::vector<nb::object> made;
    std::vector<uint64_t> addresses;
    for (const nb::object &make : entry.allocate) {
      made.push_back(make());
      addresses.push_back(reader_.pointer(made.back().ptr()));
    }
    fill(entry, kAllocated, addresses.data(), buffer);
    void *queue = stream ? *stream : current_stream(entry);
    for (Kernel &kernel : entry.kernels) run(kernel, entry, given, addresses, parameters, queue);
    return result(entry, made);
  }

  static bool fill_scalars(const Entry &entry, PyObject *args, char *buffer) {
    for (const Slot &slot : entry.slots) {
      if (slot.source != kArgumentScalar) continue;
      PyObject *value = PyTuple_GET_ITEM(args, static_cast<Py_ssize_t>(slot.index));
      if (!scalars::pack(buffer + slot.offset, slot.format, value)) {
        PyErr_Clear();
        return false;
      }
    }
    return true;
  }

  void fill(const Entry &entry, int source, const uint64_t *pointers, char *buffer) {
    for (const Slot &slot : entry.slots) {
      if (slot.source != source) continue;
      uint64_t pointer = pointers[slot.index];
      if (pointer % slot.alignment) on_misaligned_(slot.index);  // raises
      std::memcpy(buffer + slot.offset, &pointer, sizeof pointer);
    }
  }

  static void *current_stream(const Entry &entry) {
    if (!entry.stream_api) {
      return reinterpret_cast<void *>(nb::cast<uintptr_t>(entry.current_stream(entry.device_index)));
    }
    void *queue = nullptr;
    if (entry.stream_api->current_stream(kCudaDevice, entry.device_index, &queue)) throw nb::python_error();
    return queue;
  }

  void run(Kernel &kernel, const Entry &entry, const Arguments &given, const std::vector<uint64_t> &addresses,
           void **parameters, void *queue) {
    const LaunchConfig &config = kernel.config;
    if (!config.grid[0] || !config.grid[1] || !config.grid[2]) return;  // nothing to do
    alignas(64) char maps[kMaxTensorMaps * kTensorMapBytes];
    char *at = maps;
    size_t next = entry.offsets.size();
    for (TensorMap &map : kernel.maps) {
      size_t index = map.tensor.index;
      map.write(map.tensor.source == kAllocated ? addresses[index] : given.pointers[index], at);
      parameters[next++] = at;
      at += kTensorMapBytes;
    }
    if (kernel.attributes.empty()) {
      check("cuLaunchKernel",
            driver_.launch(kernel.function, config.grid[0], config.grid[1], config.grid[2], config.block[0],
                           config.block[1], config.block[2], config.shared, queue, parameters, nullptr));
      return;
    }
    LaunchConfig extended = config;
    extended.stream = queue;
    extended.attributes = kernel.attributes.data();
    extended.count = static_cast<unsigned>(kernel.attributes.size() / kAttributeBytes);
    check("cuLaunchKernelEx", driver_.launch_ex(&extended, kernel.function, parameters, nullptr));
  }

  static nb::object result(const Entry &entry, const std::vector<nb::object> &made) {
    if (entry.outputs == 0) return nb::none();
    if (entry.outputs == 1) return made[0];
    nb::list all;
    for (size_t i = 0; i < entry.outputs; ++i) all.append(made[i]);
    return all;
  }

  void check(const char *name, int status) {
    if (status) on_error_(name, status);  // raises
  }

  Driver driver_;
  uint64_t by_value_;
  nb::object miss_, on_call_, on_error_, on_misaligned_;
  Reader reader_;
  Table<Entry> entries_;
};
