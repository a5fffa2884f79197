// The part of DLPack that launching needs: tensors described in place, and the stream their framework works on.
//
// A tensor type offers a table of C functions as the capsule `__dlpack_c_exchange_api__` (DLPack 1.3, "DLPack C Exchange
// API"; torch has it from 2.10 on). The layouts below are that ABI, of major version 1.
#pragma once

#include <cstdint>

namespace dlpack {

constexpr const char *kCapsule = "dlpack_exchange_api";
constexpr uint32_t kMajor = 1;

struct Device {
  int32_t type, id;
};

struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct Tensor {
  void *data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t *shape;
  int64_t *strides;  // in elements; null: row-major
  uint64_t byte_offset;
};

struct ExchangeApi {
  uint32_t major, minor;
  ExchangeApi *older;
  void *allocate, *from_object, *to_object;         // not used here
  int (*describe)(void *object, Tensor *out);       // may be null; borrows shape and strides from the object
  int (*current_stream)(int32_t device_type, int32_t device_id, void **out);
};

}  // namespace dlpack
