#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/** The handles of CUDA's driver API; CUstream is the same pointer as the runtime's cudaStream_t. */
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphExec = struct CUgraphExec_st*;
struct CUuuid {
  char bytes[16];
};

namespace trtorch {

/** name in this struct, exported symbol (the ABI version that CUDA 12's headers choose), arguments. */
#define TRTORCH_CUDA_FUNCTIONS(F)                                                               \
  F(init, "cuInit", (unsigned flags))                                                           \
  F(getErrorName, "cuGetErrorName", (CUresult error, const char** text))                        \
  F(getErrorString, "cuGetErrorString", (CUresult error, const char** text))                    \
  F(deviceGetCount, "cuDeviceGetCount", (int* count))                                           \
  F(deviceGet, "cuDeviceGet", (CUdevice * device, int ordinal))                                 \
  F(deviceGetName, "cuDeviceGetName", (char* name, int length, CUdevice device))                \
  F(deviceGetUuid, "cuDeviceGetUuid", (CUuuid * uuid, CUdevice device))                         \
  F(deviceGetAttribute, "cuDeviceGetAttribute", (int* value, int attribute, CUdevice device))   \
  F(deviceTotalMem, "cuDeviceTotalMem_v2", (size_t * bytes, CUdevice device))                   \
  F(primaryRetain, "cuDevicePrimaryCtxRetain", (CUcontext * context, CUdevice device))          \
  F(primaryRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                          \
  F(ctxPush, "cuCtxPushCurrent_v2", (CUcontext context))                                        \
  F(ctxPop, "cuCtxPopCurrent_v2", (CUcontext * context))                                        \
  F(memGetInfo, "cuMemGetInfo_v2", (size_t * available, size_t * total))                        \
  F(memAlloc, "cuMemAlloc_v2", (CUdeviceptr * pointer, size_t bytes))                           \
  F(memFree, "cuMemFree_v2", (CUdeviceptr pointer))                                             \
  F(memHostAlloc, "cuMemHostAlloc", (void** pointer, size_t bytes, unsigned flags))             \
  F(memFreeHost, "cuMemFreeHost", (void* pointer))                                              \
  F(copyToDevice, "cuMemcpyHtoDAsync_v2", (CUdeviceptr to, const void* from, size_t bytes, CUstream stream)) \
  F(copyToHost, "cuMemcpyDtoHAsync_v2", (void* to, CUdeviceptr from, size_t bytes, CUstream stream)) \
  F(streamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))                        \
  F(streamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                     \
  F(streamSynchronize, "cuStreamSynchronize", (CUstream stream))                                \
  F(streamBeginCapture, "cuStreamBeginCapture_v2", (CUstream stream, int mode))                 \
  F(streamEndCapture, "cuStreamEndCapture", (CUstream stream, CUgraph * graph))                 \
  F(graphInstantiate, "cuGraphInstantiateWithFlags", (CUgraphExec * exec, CUgraph graph, unsigned long long flags)) \
  F(graphLaunch, "cuGraphLaunch", (CUgraphExec exec, CUstream stream))                          \
  F(graphExecDestroy, "cuGraphExecDestroy", (CUgraphExec exec))                                 \
  F(graphDestroy, "cuGraphDestroy", (CUgraph graph))                                            \
  F(eventCreate, "cuEventCreate", (CUevent * event, unsigned flags))                            \
  F(eventRecord, "cuEventRecord", (CUevent event, CUstream stream))                             \
  F(eventElapsed, "cuEventElapsedTime", (float* milliseconds, CUevent start, CUevent end))      \
  F(eventDestroy, "cuEventDestroy_v2", (CUevent event))

/** CUDA's driver API, loaded at run time: the addon loads and builds where there is no GPU. */
class CudaDriver {
 public:
  /** The driver, initialised once a process. Throws Failure("missing-library") that says what is missing. */
  static const CudaDriver& get();

  /** Throws Failure("library") unless `result` is success. `what` completes "CUDA could not ...". */
  void check(CUresult result, const std::string& what) const;

  std::string nameOf(CUdevice device) const;
  /** "GPU-...", as nvidia-smi prints it. */
  std::string uuidOf(CUdevice device) const;
  void computeCapabilityOf(CUdevice device, int& major, int& minor) const;
  /** "NVIDIA H200 (sm_90)". */
  std::string describe(CUdevice device) const;
  /** By number or UUID, among the devices that CUDA shows this process. Throws Failure("missing-library"). */
  CUdevice findDevice(const std::string& device) const;

#define TRTORCH_DECLARE(name, symbol, arguments) CUresult(*name) arguments = nullptr;
  TRTORCH_CUDA_FUNCTIONS(TRTORCH_DECLARE)
#undef TRTORCH_DECLARE

 private:
  CudaDriver();
};

/** Makes a device's primary context (which TensorRT's CUDA runtime uses too) current on this thread, for a scope. */
class ContextScope {
 public:
  ContextScope(const CudaDriver& driver, CUcontext context);
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  const CudaDriver& driver_;
};

}  // namespace trtorch
