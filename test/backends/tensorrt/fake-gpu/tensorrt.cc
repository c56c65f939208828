// A libnvinfer.so.10 with one engine, "y = 2 x", and the places of x's positive numbers as an output whose size only
// running tells. It accepts plans that say GOOD where fake-gpu.test.ts writes it. stubs.h, made by that test from
// TensorRT's headers, gives every other method.
#include <dlfcn.h>

#include <NvInfer.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

using namespace nvinfer1;
#include "stubs.h"

namespace {

Dims dimsOf(std::initializer_list<int64_t> sizes) {
  Dims dims{};
  for (int64_t size : sizes) dims.d[dims.nbDims++] = size;
  return dims;
}

struct Context : IExecutionContext, VExecutionContextStub {
  Context() { mImpl = this; }
  bool setInputShape(char const*, Dims const& dims) noexcept override { return input = dims, true; }
  Dims getTensorShape(char const* name) const noexcept override {
    return std::string(name) == "places" ? dimsOf({-1}) : input;
  }
  bool setTensorAddress(char const* name, void* address) noexcept override { return addresses[name] = address, true; }
  bool setOutputAllocator(char const*, IOutputAllocator* one) noexcept override { return allocator = one, true; }
  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept override { return profile < 2; }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    const float* x = static_cast<float*>(addresses["x"]);
    float* y = static_cast<float*>(addresses["y"]);
    const int64_t count = input.d[0] * input.d[1];
    int64_t positive = 0;
    for (int64_t i = 0; i < count; i++) y[i] = 2 * x[i], positive += x[i] > 0;
    if (allocator != nullptr) {
      auto* places = static_cast<int64_t*>(allocator->reallocateOutputAsync("places", nullptr, positive * 8, 256, stream));
      for (int64_t i = 0; i < count; i++) {
        if (x[i] > 0) *places++ = i;
      }
      allocator->notifyShape("places", dimsOf({positive}));
    }
    return x[0] != 99;
  }

  Dims input{};
  std::map<std::string, void*> addresses;
  IOutputAllocator* allocator = nullptr;
};

struct Engine : ICudaEngine, VCudaEngineStub {
  explicit Engine(bool places) : places(places) { mImpl = this; }
  int32_t getNbOptimizationProfiles() const noexcept override { return 2; }
  int32_t getNbIOTensors() const noexcept override { return places ? 3 : 2; }
  char const* getIOTensorName(int32_t i) const noexcept override { return i == 0 ? "x" : i == 1 ? "y" : "places"; }
  DataType getTensorDataType(char const* name) const noexcept override {
    return std::string(name) == "places" ? DataType::kINT64 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    return std::string(name) == "places" ? dimsOf({-1}) : dimsOf({-1, 4});
  }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return std::string(name) == "x" ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  Dims getProfileShape(char const*, int32_t profile, OptProfileSelector select) const noexcept override {
    const bool largest = select == OptProfileSelector::kMAX;
    return dimsOf({profile == 0 ? (largest ? 8 : 1) : (largest ? 64 : 9), 4});
  }
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override { return new Context; }

  const bool places;
};

struct Runtime : IRuntime, VRuntimeStub {
  explicit Runtime(ILogger* logger) : logger(logger) { mImpl = this; }
  ICudaEngine* deserializeCudaEngine(void const* bytes, std::size_t) noexcept override {
    const char* mark = static_cast<const char*>(bytes) + 28;
    if (std::memcmp(mark, "GOOD", 4) == 0) return new Engine(mark[4] == '+');
    logger->log(ILogger::Severity::kERROR, "expecting compute 9.0, got compute 8.9");
    return nullptr;
  }

  ILogger* const logger;
};

}  // namespace

#define API extern "C" __attribute__((visibility("default")))
API int32_t getInferLibVersion() noexcept { return 100600; }
/** As the library does, this opens another one, of its kernels, by its name alone. It builds nothing either way. */
API void* createInferBuilder_INTERNAL(void* logger, int32_t) noexcept {
  const bool opened = dlopen("libnvinfer_builder_resource.so.10.6.0", RTLD_LAZY) != nullptr;
  static_cast<ILogger*>(logger)->log(
      ILogger::Severity::kERROR,
      opened ? "the fake has its kernels" : "Unable to load library: libnvinfer_builder_resource.so.10.6.0");
  return nullptr;
}
API void* createInferRuntime_INTERNAL(void* logger, int32_t) noexcept {
  return new Runtime(static_cast<ILogger*>(logger));
}
