// Scalars into the bytes of kernel parameters; format letters are those of runtime/packing.py.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <cstring>

namespace scalars {

#if PY_VERSION_HEX < 0x030B0000
inline int pack_half(double number, char *at) { return _PyFloat_Pack2(number, reinterpret_cast<unsigned char *>(at), 1); }
#else
inline int pack_half(double number, char *at) { return PyFloat_Pack2(number, at, 1); }
#endif

inline uint16_t bfloat_bits(double value) {
  float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);  // a NaN stays one
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline bool pack_float(char *at, char format, PyObject *value) {
  double number = PyFloat_AsDouble(value);
  if (number == -1.0 && PyErr_Occurred()) return false;
  if (format == 'e') return !pack_half(number, at);
  if (format == 'd') {
    std::memcpy(at, &number, 8);
  } else if (format == 'f') {
    float narrow = static_cast<float>(number);
    std::memcpy(at, &narrow, 4);
  } else {
    uint16_t bits = bfloat_bits(number);
    std::memcpy(at, &bits, 2);
  }
  return true;
}

inline bool pack_integer(char *at, char format, PyObject *value) {
  size_t size = format == '?' || format == 'b' || format == 'B' ? 1 : format == 'h' || format == 'H' ? 2
                : format == 'i' || format == 'I' ? 4 : 8;
  int overflow = 0;
  int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (number == -1 && PyErr_Occurred()) return false;
  if (overflow) {  // only an unsigned 64-bit integer may be that large
    if (format != 'Q' || overflow < 0) return false;
    number = static_cast<int64_t>(PyLong_AsUnsignedLongLong(value));
    if (PyErr_Occurred()) return false;
  } else if (format == '?') {
    if (number != 0 && number != 1) return false;
  } else if (format < 'a') {  // upper case: unsigned
    if (number < 0 || (size < 8 && number >> 8 * size)) return false;
  } else if (size < 8) {
    int64_t limit = int64_t{1} << (8 * size - 1);
    if (number < -limit || number >= limit) return false;
  }
  std::memcpy(at, &number, size);
  return true;
}

// False, with or without a Python error, when the value does not fit: the slow path then says why.
inline bool pack(char *at, char format, PyObject *value) {
  return std::strchr("efdg", format) ? pack_float(at, format, value) : pack_integer(at, format, value);
}

}  // namespace scalars
