#pragma once

#include <cstddef>

#include "cuda_driver.h"

namespace trtorch {

/** GPU memory that grows and is freed with its owner. The device's context must be current in every call. */
class DeviceMemory {
 public:
  explicit DeviceMemory(const CudaDriver& cuda) : cuda_(cuda) {}
  ~DeviceMemory() { release(); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /** At least `bytes`; never null, as TensorRT wants an address for an empty tensor too. Contents are lost. */
  void reserve(size_t bytes) {
    if (bytes < 1) bytes = 1;
    if (bytes <= capacity_) return;
    release();
    cuda_.check(cuda_.memAlloc(&pointer_, bytes), "allocate " + std::to_string(bytes) + " bytes on the device");
    capacity_ = bytes;
  }

  CUdeviceptr address() const { return pointer_; }
  void* pointer() const { return reinterpret_cast<void*>(pointer_); }

 private:
  void release() {
    if (pointer_ != 0) cuda_.memFree(pointer_);
    pointer_ = 0;
    capacity_ = 0;
  }

  const CudaDriver& cuda_;
  CUdeviceptr pointer_ = 0;
  size_t capacity_ = 0;
};

/** Page-locked host memory: copies between it and the device run beside other work. */
class PinnedMemory {
 public:
  explicit PinnedMemory(const CudaDriver& cuda) : cuda_(cuda) {}
  ~PinnedMemory() { release(); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  void reserve(size_t bytes) {
    if (bytes < 1) bytes = 1;
    if (bytes <= capacity_) return;
    release();
    cuda_.check(cuda_.memHostAlloc(&pointer_, bytes, 0), "allocate " + std::to_string(bytes) + " bytes of pinned memory");
    capacity_ = bytes;
  }

  void* pointer() const { return pointer_; }

 private:
  void release() {
    if (pointer_ != nullptr) cuda_.memFreeHost(pointer_);
    pointer_ = nullptr;
    capacity_ = 0;
  }

  const CudaDriver& cuda_;
  void* pointer_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace trtorch
