// What a call's arguments are, as a key: tensors by dtype, device, shape and strides, scalars by type, or by value where
// a size or grid depends on them. The addresses are noted on the way.
#pragma once

#include <nanobind/nanobind.h>

#include <cstring>
#include <vector>

#include "dlpack.h"

namespace nb = nanobind;

constexpr size_t kMaxArguments = 256, kMaxWords = 1024, kMaxTypes = 64, kMaxRank = 64;

struct Arguments {  // of one call; lives on the stack and borrows the values
  size_t count = 0, words = 0;
  PyObject *values[kMaxArguments];
  uint64_t pointers[kMaxArguments];  // 0 for what is no tensor, integer or None
  int64_t key[kMaxWords];

  uint64_t hash() const {
    uint64_t state = words;
    for (size_t i = 0; i < words; ++i) {
      state = (state ^ static_cast<uint64_t>(key[i])) * 0x9E3779B97F4A7C15ull;
      state ^= state >> 29;
    }
    return state;
  }
  bool same(const std::vector<int64_t> &other) const {
    return other.size() == words && !std::memcmp(other.data(), key, words * sizeof(int64_t));
  }
};

// The C functions a tensor type offers; null when it has none that can be used.
inline const dlpack::ExchangeApi *find_api(PyObject *type) {
  nb::object capsule = nb::steal(PyObject_GetAttrString(type, "__dlpack_c_exchange_api__"));
  if (!capsule.is_valid() || !PyCapsule_IsValid(capsule.ptr(), dlpack::kCapsule)) {
    PyErr_Clear();
    return nullptr;
  }
  auto *api = static_cast<dlpack::ExchangeApi *>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kCapsule));
  while (api && api->major != dlpack::kMajor) api = api->older;
  return api && api->describe ? api : nullptr;
}

// Reads arguments. Types are looked at once; those with DLPack's C functions are read through them, others that look
// like torch tensors through their Python attributes.
class Reader {
 public:
  // False when some argument is of a kind that only the slow path knows. `keywords` may be null; their values come after
  // the positional ones. `by_value` has a bit per argument whose value matters; those of keywords all do.
  bool read(PyObject *args, PyObject *keywords, uint64_t by_value, Arguments &out) {
    size_t count = static_cast<size_t>(PyTuple_GET_SIZE(args));
    out.count = out.words = 0;
    for (size_t i = 0; i < count; ++i) {
      if (!one(PyTuple_GET_ITEM(args, static_cast<Py_ssize_t>(i)), i >= 64 || by_value >> i & 1, out)) return false;
    }
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (keywords && PyDict_Next(keywords, &position, &name, &value)) {
      if (!text(name, out) || !one(value, true, out)) return false;
    }
    return true;
  }

  // The address of a tensor that an entry allocated. Throws when it has none.
  uint64_t pointer(PyObject *value) {
    if (const dlpack::ExchangeApi *api = api_of(Py_TYPE(value))) {
      dlpack::Tensor view;
      if (api->describe(value, &view)) throw nb::python_error();
      return reinterpret_cast<uint64_t>(view.data) + view.byte_offset;
    }
    nb::object pointer = nb::steal(PyObject_CallMethodNoArgs(value, names_.data_ptr));
    if (!pointer.is_valid()) throw nb::python_error();
    return nb::cast<uint64_t>(pointer);
  }

  int traverse(visitproc visit, void *arg) {
    for (const Type &type : types_) Py_VISIT(type.object.ptr());
    Py_VISIT(numbers_.ptr());
    return 0;
  }

 private:
  enum Kind : int64_t { kNone = 1, kBool, kInt, kFloat, kText, kDlpack, kRowMajor, kAttributes };
  struct Type {
    nb::object object;
    const dlpack::ExchangeApi *api;
  };

  bool one(PyObject *value, bool keyed, Arguments &out) {
    size_t index = out.count;
    if (index == kMaxArguments || out.words + 2 * kMaxRank + 4 > kMaxWords) return false;
    out.values[out.count++] = value;
    out.pointers[index] = 0;
    bool known = value == Py_None || PyLong_Check(value) || PyFloat_Check(value) ? scalar(value, keyed, out, index)
                 : keyed && PyUnicode_Check(value)                               ? text(value, out)
                                                                                 : tensor(value, out, index);
    if (!known) PyErr_Clear();
    return known;
  }

  bool text(PyObject *value, Arguments &out) {
    out.key[out.words++] = kText;
    int64_t number = number_of(nb::borrow(value));
    out.key[out.words++] = number;
    return number >= 0;
  }

  static bool scalar(PyObject *value, bool keyed, Arguments &out, size_t index) {
    int64_t bits = 0;
    Kind kind = kNone;
    if (PyFloat_Check(value)) {
      kind = kFloat;
      double number = PyFloat_AS_DOUBLE(value);
      std::memcpy(&bits, &number, 8);
    } else if (value != Py_None) {
      kind = PyBool_Check(value) ? kBool : kInt;
      int overflow = 0;
      bits = PyLong_AsLongLongAndOverflow(value, &overflow);
      if (overflow > 0) {  // addresses may use the highest bit; anything longer is an error
        bits = static_cast<int64_t>(PyLong_AsUnsignedLongLong(value));
      }
      if (overflow < 0 || (bits == -1 && PyErr_Occurred())) return false;
      out.pointers[index] = static_cast<uint64_t>(bits);
    }
    out.key[out.words++] = kind;
    if (keyed) out.key[out.words++] = bits;
    return true;
  }

  bool tensor(PyObject *value, Arguments &out, size_t index) {
    const dlpack::ExchangeApi *api = api_of(Py_TYPE(value));
    if (!api) return attributes(value, out, index);
    dlpack::Tensor view;
    if (api->describe(value, &view) || view.ndim > static_cast<int32_t>(kMaxRank)) return false;
    size_t rank = static_cast<size_t>(view.ndim);
    head(view.strides ? kDlpack : kRowMajor, view.device.type, view.device.id, rank, out);
    out.key[out.words++] = view.dtype.code | view.dtype.bits << 8 | static_cast<int64_t>(view.dtype.lanes) << 16;
    int64_t *key = out.key + out.words;
    for (size_t i = 0; i < rank; ++i) key[i] = view.shape[i];
    out.words += rank;
    if (view.strides) {
      for (size_t i = 0; i < rank; ++i) key[rank + i] = view.strides[i];
      out.words += rank;
    }
    out.pointers[index] = reinterpret_cast<uint64_t>(view.data) + view.byte_offset;
    return true;
  }

  static void head(Kind kind, int64_t device_type, int64_t device, size_t rank, Arguments &out) {
    out.key[out.words++] = kind | static_cast<int64_t>(rank) << 8 | device_type << 16 | device << 32;
  }

  // Types that had no C functions are kept too, as null.
  const dlpack::ExchangeApi *api_of(PyTypeObject *type) {
    for (const Type &known : types_) {
      if (known.object.ptr() == reinterpret_cast<PyObject *>(type)) return known.api;
    }
    if (types_.size() >= kMaxTypes) types_.clear();
    const dlpack::ExchangeApi *api = find_api(reinterpret_cast<PyObject *>(type));
    types_.push_back({nb::borrow(reinterpret_cast<PyObject *>(type)), api});
    return api;
  }

  bool attributes(PyObject *value, Arguments &out, size_t index) {
    nb::object dtype = nb::steal(PyObject_GetAttr(value, names_.dtype));
    if (!dtype.is_valid()) return false;
    nb::object device = nb::steal(PyObject_CallMethodNoArgs(value, names_.device));
    if (!device.is_valid()) return false;
    nb::object shape = nb::steal(PyObject_GetAttr(value, names_.shape));
    if (!shape.is_valid() || !PyTuple_Check(shape.ptr())) return false;
    nb::object strides = nb::steal(PyObject_CallMethodNoArgs(value, names_.stride));
    if (!strides.is_valid() || !PyTuple_Check(strides.ptr())) return false;
    nb::object pointer = nb::steal(PyObject_CallMethodNoArgs(value, names_.data_ptr));
    if (!pointer.is_valid()) return false;
    size_t rank = static_cast<size_t>(PyTuple_GET_SIZE(shape.ptr()));
    if (rank > kMaxRank || PyTuple_GET_SIZE(strides.ptr()) != static_cast<Py_ssize_t>(rank)) return false;
    head(kAttributes, 0, PyLong_AsLong(device.ptr()), rank, out);
    out.key[out.words++] = number_of(dtype);
    for (const nb::object &sizes : {shape, strides}) {
      for (size_t i = 0; i < rank; ++i) {
        out.key[out.words++] = PyLong_AsLongLong(PyTuple_GET_ITEM(sizes.ptr(), static_cast<Py_ssize_t>(i)));
      }
    }
    out.pointers[index] = PyLong_AsUnsignedLongLong(pointer.ptr());
    return !PyErr_Occurred();
  }

  // Equal objects (dtypes, texts) have the same number; -1 on errors.
  int64_t number_of(const nb::object &object) {
    PyObject *known = PyDict_GetItemWithError(numbers_.ptr(), object.ptr());
    if (known) return PyLong_AsLongLong(known);
    if (PyErr_Occurred()) return -1;
    int64_t number = PyDict_Size(numbers_.ptr());
    numbers_[object] = nb::int_(number);
    return number;
  }

  struct Names {
    PyObject *dtype = PyUnicode_InternFromString("dtype"), *device = PyUnicode_InternFromString("get_device"),
             *shape = PyUnicode_InternFromString("shape"), *stride = PyUnicode_InternFromString("stride"),
             *data_ptr = PyUnicode_InternFromString("data_ptr");
  };

  std::vector<Type> types_;
  nb::dict numbers_;
  Names names_;
};
