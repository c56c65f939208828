#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_driver.h"
#include "library.h"
#include "memory.h"

namespace trtorch {

/** An input or output of an engine. */
struct TensorInfo {
  std::string name;
  nvinfer1::DataType type;
  /** -1 where the size is known only at run time. */
  nvinfer1::Dims dims;
  bool isInput;
  /** Its values are sizes, read on the host. */
  bool onHost;
  /** For an input: smallest, best and largest, a profile each. */
  struct Shapes {
    nvinfer1::Dims min, opt, max;
  };
  std::vector<Shapes> profiles;
};

struct InputData {
  std::string name;
  nvinfer1::Dims dims;
  const void* bytes;
  size_t size;
};

struct OutputData {
  std::string name;
  nvinfer1::DataType type;
  nvinfer1::Dims dims;
  std::unique_ptr<uint8_t[]> bytes;
  size_t size;
};

struct ExecuteOptions {
  int profile = 0;
  /** Executions that are not timed, then executions that are. */
  int warmup = 0;
  int iterations = 1;
  /** Repeat the work as a CUDA graph, where the engine can be captured. */
  bool graph = false;
};

struct ExecuteResult {
  std::vector<OutputData> outputs;
  /** Milliseconds on the GPU, one an iteration, without the copies from and to the host. */
  std::vector<float> times;
  bool usedGraph = false;
};

/** An engine on a device, with one execution context and stream. Executions come one after another. */
class Engine {
 public:
  /** Deserializes on the calling thread. Throws Failure where there is no driver or the library refuses. */
  Engine(const Library& library, const std::string& device, const void* bytes, size_t size, bool allowHostCode);
  ~Engine();

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /** "NVIDIA H200 (sm_90)". */
  const std::string& deviceName() const { return deviceName_; }

  ExecuteResult execute(const std::vector<InputData>& inputs, const ExecuteOptions& options);

 private:
  class OutputAllocator;
  struct Binding {
    Binding(const CudaDriver& cuda, TensorInfo info);
    ~Binding();

    TensorInfo info;
    DeviceMemory device;
    PinnedMemory host;
    /** Bytes of this execution. */
    size_t size = 0;
    /** For an output whose size only running tells. */
    std::unique_ptr<OutputAllocator> allocator;
  };

  void readTensors();
  void setInput(Binding& binding, const InputData& input);
  void setOutput(Binding& binding);
  void enqueue();
  /** Captures the work for the shapes that are set; false where the engine cannot be captured. */
  bool capture();
  void dropGraph();
  std::vector<OutputData> readOutputs();
  float timed(bool graph);

  const CudaDriver& cuda_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  std::string deviceName_;
  std::mutex mutex_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> execution_;
  CUstream stream_ = nullptr;
  CUevent start_ = nullptr;
  CUevent end_ = nullptr;
  std::vector<TensorInfo> tensors_;
  std::vector<std::unique_ptr<Binding>> bindings_;
  int profile_ = 0;
  CUgraphExec graph_ = nullptr;
  /** The shapes and addresses that graph_ was captured with. */
  std::string graphKey_;
};

}  // namespace trtorch
