#pragma once

#include <NvInferRuntime.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
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
  /** Smallest, best and largest. */
  template <typename T>
  struct Range {
    T min, opt, max;
  };
  /** For an input: its dims, a profile each. */
  std::vector<Range<nvinfer1::Dims>> profiles;
  /** For an input on the host: its values, a profile each. Empty where the library does not tell. */
  std::vector<Range<std::vector<int64_t>>> values;
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

  /** Throws Failure("cancelled") before an execution where `cancelled` has become true. */
  ExecuteResult execute(const std::vector<InputData>& inputs, const ExecuteOptions& options,
                        const std::atomic<bool>& cancelled);

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
  /** Of an input on the host. Nothing where the library does not tell. */
  std::optional<TensorInfo::Range<std::vector<int64_t>>> readValues(const char* name, int32_t profile,
                                                                    int64_t count) const;
  void setInput(Binding& binding, const InputData& input);
  void setOutput(Binding& binding);
  void enqueue();
  /** What an execution depends on besides the numbers on the device. */
  std::string bindingsKey() const;
  /** Captures the work for what is bound; false where the engine cannot be captured. */
  bool capture();
  void dropGraph();
  std::vector<OutputData> readOutputs();
  float timed(bool graph);

  const Library& library_;
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
  /** bindingsKey() of the last execution. */
  std::string lastKey_;
};

}  // namespace trtorch
