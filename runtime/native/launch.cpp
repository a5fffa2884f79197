// The warm launch path: look the call up by the types and shapes of its arguments, pack parameters, launch.
//
// Mirrors runtime/cuda/launch.py, which is used where this extension is not built. libcuda is opened at run time, so
// neither building nor importing needs CUDA; the few declarations below follow cuda.h (CUDA Driver API).

#include <dlfcn.h>
#include <nanobind/nanobind.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace nb = nanobind;

namespace {

struct LaunchConfig {  // CUlaunchConfig
  unsigned grid[3], block[3], shared;
  void *stream;
  void *attributes;
  unsigned count;
};
constexpr size_t kAttributeBytes = 72;  // CUlaunchAttribute
constexpr size_t kTensorMapBytes = 128, kTensorMapAlignment = 64;
constexpr uint64_t kPointerAlignment = 16;
constexpr size_t kMaxParameters = 256;
constexpr Py_ssize_t kMaxEntries = 4096;
#if PY_VERSION_HEX < 0x030B0000
int PyFloat_Pack2(double number, char *at, int little) {
  return _PyFloat_Pack2(number, reinterpret_cast<unsigned char *>(at), little);
}
#endif

struct Driver {
  int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
  int (*launch_ex)(const LaunchConfig *, void *, void **, void **);
  int (*get_context)(void **);
  int (*set_context)(void *);
};

Driver open_driver(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library) throw std::runtime_error(dlerror());
  Driver driver;
  auto find = [&](const char *name, bool required = true) {
    void *symbol = dlsym(library, name);
    if (!symbol && required) throw std::runtime_error(std::string("libcuda has no ") + name);
    return symbol;
  };
  driver.launch = reinterpret_cast<decltype(driver.launch)>(find("cuLaunchKernel"));
  driver.launch_ex = reinterpret_cast<decltype(driver.launch_ex)>(find("cuLaunchKernelEx", false));
  driver.get_context = reinterpret_cast<decltype(driver.get_context)>(find("cuCtxGetCurrent"));
  driver.set_context = reinterpret_cast<decltype(driver.set_context)>(find("cuCtxSetCurrent"));
  return driver;
}

struct RestoreContext {  // makes the caller's context current again, also when a launch fails
  const Driver &driver;
  void *context;
  ~RestoreContext() {
    if (context) driver.set_context(context);
  }
};

// Where a parameter's value comes from; the numbers are those of runtime/cuda/call.py.
enum Source { kArgumentPointer = 0, kArgumentScalar = 1, kAllocated = 2 };

struct Slot {
  size_t offset;
  int source;
  size_t index;
  char format;
  bool aligned;
};

struct TensorMap {
  nb::object encode;  // pointer -> 128 bytes
  Slot tensor;
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
  nb::object current_stream, device_index;
};

Slot read_slot(nb::handle item) {
  nb::tuple t = nb::cast<nb::tuple>(item);
  return {nb::cast<size_t>(t[0]), nb::cast<int>(t[1]), nb::cast<size_t>(t[2]), nb::cast<nb::str>(t[3]).c_str()[0],
          nb::cast<bool>(t[4])};
}

std::string read_bytes(nb::handle item) {
  nb::bytes b = nb::cast<nb::bytes>(item);
  return std::string(b.c_str(), b.size());
}

Kernel read_kernel(nb::handle item) {
  Kernel kernel;
  kernel.function = reinterpret_cast<void *>(nb::cast<uintptr_t>(item.attr("function")));
  nb::tuple grid = nb::cast<nb::tuple>(item.attr("grid")), block = nb::cast<nb::tuple>(item.attr("block"));
  for (size_t i = 0; i < 3; ++i) {
    kernel.config.grid[i] = nb::cast<unsigned>(grid[i]);
    kernel.config.block[i] = nb::cast<unsigned>(block[i]);
  }
  kernel.config.shared = nb::cast<unsigned>(item.attr("shared_bytes"));
  kernel.attributes = read_bytes(item.attr("attributes"));
  for (nb::handle map : nb::cast<nb::tuple>(item.attr("tensor_maps"))) {
    nb::tuple t = nb::cast<nb::tuple>(map);
    kernel.maps.push_back({nb::cast<nb::object>(t[0]), read_slot(t[1])});
  }
  return kernel;
}

Entry read_entry(nb::handle spec) {
  Entry entry;
  entry.context = reinterpret_cast<void *>(nb::cast<uintptr_t>(spec.attr("context")));
  entry.parameters = read_bytes(spec.attr("parameters"));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("offsets"))) entry.offsets.push_back(nb::cast<size_t>(item));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("slots"))) entry.slots.push_back(read_slot(item));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("allocate"))) {
    entry.allocate.push_back(nb::cast<nb::object>(item));
  }
  entry.outputs = nb::cast<size_t>(spec.attr("outputs"));
  for (nb::handle item : nb::cast<nb::tuple>(spec.attr("kernels"))) entry.kernels.push_back(read_kernel(item));
  entry.current_stream = nb::cast<nb::object>(spec.attr("current_stream"));
  entry.device_index = nb::cast<nb::object>(spec.attr("device_index"));
  if (entry.offsets.size() > kMaxParameters) throw std::runtime_error("too many kernel parameters");
  return entry;
}

struct Names {
  PyObject *dtype = PyUnicode_InternFromString("dtype"), *device = PyUnicode_InternFromString("get_device"),
           *shape = PyUnicode_InternFromString("shape"), *stride = PyUnicode_InternFromString("stride"),
           *data_ptr = PyUnicode_InternFromString("data_ptr");
};

uint64_t pointer_of(PyObject *value, const Names &names) {
  if (value == Py_None) return 0;
  nb::object number = PyLong_Check(value) ? nb::borrow(value)
                                          : nb::steal(PyObject_CallMethodNoArgs(value, names.data_ptr));
  if (!number.is_valid()) throw nb::python_error();
  uint64_t pointer = PyLong_AsUnsignedLongLong(number.ptr());
  if (PyErr_Occurred()) throw nb::python_error();
  return pointer;
}

uint16_t bfloat_bits(double value) {
  float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void pack_scalar(char *at, char format, PyObject *value) {
  if (format == 'f' || format == 'd' || format == 'e' || format == 'B') {
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) throw nb::python_error();
    if (format == 'd') {
      std::memcpy(at, &number, 8);
    } else if (format == 'f') {
      float narrow = static_cast<float>(number);
      std::memcpy(at, &narrow, 4);
    } else if (format == 'e') {
      if (PyFloat_Pack2(number, at, 1)) throw nb::python_error();
    } else {
      uint16_t bits = bfloat_bits(number);
      std::memcpy(at, &bits, 2);
    }
    return;
  }
  uint64_t bits = PyLong_AsUnsignedLongLongMask(value);
  if (PyErr_Occurred()) throw nb::python_error();
  size_t size = format == 'q' ? 8 : format == 'i' ? 4 : format == 'h' ? 2 : 1;
  if (format == '?') bits = bits != 0;
  std::memcpy(at, &bits, size);
}

class Launcher {
 public:
  Launcher(const std::string &path, uint64_t by_value, nb::object miss, nb::object on_error, nb::object on_misaligned)
      : driver_(open_driver(path)), by_value_(by_value), miss_(miss), on_error_(on_error), on_misaligned_(on_misaligned) {}

  void add(nb::tuple args, nb::handle spec) {
    nb::object key = make_key(args);
    if (!key.is_valid()) return;
    if (PyDict_Size(index_.ptr()) >= kMaxEntries) {  // shapes that never repeat must not pile up
      index_.clear();
      entries_.clear();
    }
    entries_.push_back(read_entry(spec));
    index_[key] = nb::int_(entries_.size() - 1);
  }

  nb::object call(nb::tuple args, nb::object stream) {
    nb::object key = make_key(args);
    if (!key.is_valid()) return miss_;
    PyObject *found = PyDict_GetItemWithError(index_.ptr(), key.ptr());
    if (!found) {
      if (PyErr_Occurred()) throw nb::python_error();
      return miss_;
    }
    return launch(entries_[PyLong_AsSize_t(found)], args, stream);
  }

 private:
  // Tensors by dtype, device, shape and strides; scalars by type, or by value where the grid depends on them. An
  // invalid object when some argument is neither: the slow path deals with it.
  nb::object make_key(const nb::tuple &args) {
    size_t count = args.size();
    nb::object key = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(count * 4)));
    for (size_t i = 0; i < count; ++i) {
      PyObject *value = PyTuple_GET_ITEM(args.ptr(), i);
      PyObject *parts[4] = {nullptr, nullptr, nullptr, nullptr};
      if (value == Py_None || PyLong_Check(value) || PyFloat_Check(value)) {
        parts[0] = reinterpret_cast<PyObject *>(Py_TYPE(value));
        parts[1] = i >= 64 || (by_value_ >> i & 1) ? value : Py_None;
        Py_INCREF(parts[0]);
        Py_INCREF(parts[1]);
      } else {
        parts[0] = PyObject_GetAttr(value, names_.dtype);
        if (parts[0]) parts[1] = PyObject_CallMethodNoArgs(value, names_.device);
        if (parts[1]) parts[2] = PyObject_GetAttr(value, names_.shape);
        if (parts[2]) parts[3] = PyObject_CallMethodNoArgs(value, names_.stride);
        if (!parts[3]) {
          PyErr_Clear();
          for (PyObject *part : parts) Py_XDECREF(part);
          return nb::object();
        }
      }
      for (size_t j = 0; j < 4; ++j) {
        if (!parts[j]) parts[j] = Py_NewRef(Py_None);
        PyTuple_SET_ITEM(key.ptr(), static_cast<Py_ssize_t>(i * 4 + j), parts[j]);
      }
    }
    return key;
  }

  uint64_t value_of(const Slot &slot, const nb::tuple &args, const std::vector<nb::object> &made) {
    PyObject *holder = slot.source == kAllocated ? made[slot.index].ptr() : PyTuple_GET_ITEM(args.ptr(), slot.index);
    uint64_t pointer = pointer_of(holder, names_);
    if (slot.aligned && pointer % kPointerAlignment) on_misaligned_(slot.index);
    return pointer;
  }

  nb::object launch(Entry &entry, const nb::tuple &args, const nb::object &stream) {
    std::vector<nb::object> made;
    made.reserve(entry.allocate.size());
    for (nb::object &make : entry.allocate) made.push_back(make());
    alignas(16) char buffer[kMaxParameters * 8];
    void *parameters[kMaxParameters + 16];
    std::memcpy(buffer, entry.parameters.data(), entry.parameters.size());
    for (const Slot &slot : entry.slots) {
      if (slot.source == kArgumentScalar) {
        pack_scalar(buffer + slot.offset, slot.format, PyTuple_GET_ITEM(args.ptr(), slot.index));
      } else {
        uint64_t pointer = value_of(slot, args, made);
        std::memcpy(buffer + slot.offset, &pointer, 8);
      }
    }
    for (size_t i = 0; i < entry.offsets.size(); ++i) parameters[i] = buffer + entry.offsets[i];
    nb::object handle = stream.is_none() ? entry.current_stream(entry.device_index) : stream;
    void *queue = reinterpret_cast<void *>(nb::cast<uintptr_t>(handle));
    void *before = nullptr;
    driver_.get_context(&before);
    if (before != entry.context) check("cuCtxSetCurrent", driver_.set_context(entry.context));
    RestoreContext restore{driver_, before == entry.context ? nullptr : before};
    for (Kernel &kernel : entry.kernels) run(kernel, entry, args, made, parameters, queue);
    return result(entry, made);
  }

  void run(Kernel &kernel, const Entry &entry, const nb::tuple &args, const std::vector<nb::object> &made,
           void **parameters, void *queue) {
    LaunchConfig config = kernel.config;
    if (!config.grid[0] || !config.grid[1] || !config.grid[2]) return;  // nothing to do
    char maps[16 * kTensorMapBytes + kTensorMapAlignment];
    char *at = maps + (-reinterpret_cast<uintptr_t>(maps)) % kTensorMapAlignment;
    size_t next = entry.offsets.size();
    for (TensorMap &map : kernel.maps) {
      nb::bytes code = nb::cast<nb::bytes>(map.encode(value_of(map.tensor, args, made)));
      std::memcpy(at, code.c_str(), kTensorMapBytes);
      parameters[next++] = at;
      at += kTensorMapBytes;
    }
    int status;
    if (kernel.attributes.empty()) {
      status = driver_.launch(kernel.function, config.grid[0], config.grid[1], config.grid[2], config.block[0],
                              config.block[1], config.block[2], config.shared, queue, parameters, nullptr);
      check("cuLaunchKernel", status);
    } else {
      config.stream = queue;
      config.attributes = kernel.attributes.data();
      config.count = static_cast<unsigned>(kernel.attributes.size() / kAttributeBytes);
      check("cuLaunchKernelEx", driver_.launch_ex(&config, kernel.function, parameters, nullptr));
    }
  }

  nb::object result(const Entry &entry, const std::vector<nb::object> &made) {
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
  nb::object miss_, on_error_, on_misaligned_;
  nb::dict index_;
  std::vector<Entry> entries_;
  Names names_;
};

}  // namespace

NB_MODULE(_launch, m) {
  nb::set_leak_warnings(false);  // kernels held by module globals live until the interpreter ends
  m.doc() = "Launches prepared kernels with little host time.";
  nb::class_<Launcher>(m, "Launcher")
      .def(nb::init<const char *, uint64_t, nb::object, nb::object, nb::object>(), nb::arg("path"),
           nb::arg("by_value"), nb::arg("miss"), nb::arg("on_error").none(), nb::arg("on_misaligned").none())
      .def("add", &Launcher::add, nb::arg("args"), nb::arg("spec"))
      .def("call", &Launcher::call, nb::arg("args"), nb::arg("stream").none());
}
