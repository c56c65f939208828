#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "failure.h"

namespace trtorch {

/** Bits that an element takes in memory. Throws Failure("unsupported") for a type that networks here do not have. */
inline int64_t bitsOf(nvinfer1::DataType type) {
  using nvinfer1::DataType;
  switch (type) {
    case DataType::kINT64:
      return 64;
    case DataType::kFLOAT:
    case DataType::kINT32:
      return 32;
    case DataType::kHALF:
    case DataType::kBF16:
      return 16;
    case DataType::kINT8:
    case DataType::kUINT8:
    case DataType::kBOOL:
    case DataType::kFP8:
      return 8;
    case DataType::kINT4:
      return 4;
    default:
      throw Failure("unsupported", "TensorRT's type " + std::to_string(static_cast<int>(type)) + " is not supported");
  }
}

inline int64_t countOf(const nvinfer1::Dims& dims) {
  int64_t count = 1;
  for (int32_t i = 0; i < dims.nbDims; i++) count *= dims.d[i];
  return count;
}

/** Bytes of a dense tensor. */
inline int64_t bytesOf(const nvinfer1::Dims& dims, nvinfer1::DataType type) {
  return (countOf(dims) * bitsOf(type) + 7) / 8;
}

inline bool isDynamic(const nvinfer1::Dims& dims) {
  for (int32_t i = 0; i < dims.nbDims; i++) {
    if (dims.d[i] < 0) return true;
  }
  return false;
}

}  // namespace trtorch
