// A libnvinfer.so.10 with one engine, "y = 2 x", and what the plan asks for behind the GOOD that fake-gpu.test.ts writes:
//   +  the output "places" of x's positive numbers, whose size only running tells; with a batch of 8 it is known to be 32
//   n  the input "n" of 0 to 20 on the host: y = 2 x + n
//   v  x in a vectorized format
//   t  x of a type that came later
// An x that begins with 99 fails, and with 50 takes a millisecond. stubs.h, made by that test from TensorRT's headers,
// gives every other method.
#include <dlfcn.h>

#include <NvInfer.h>

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

using namespace nvinfer1;
#include "stubs.h"

namespace {

Dims dimsOf(std::initializer_list<int64_t> sizes) {
  Dims dims{};
  for (int64_t size : sizes) dims.d[dims.nbDims++] = size;
  return dims;
}

/** Says how often it was asked to execute, when the process exits. */
struct Count {
  ~Count() {
    if (slow > 0) std::fprintf(stderr, "%d slow executions\n", slow.load());
  }
  std::atomic<int> slow{0};
} executions;

struct Context : IExecutionContext, VExecutionContextStub {
  Context() { mImpl = this; }
  bool setInputShape(char const* name, Dims const& dims) noexcept override {
    if (std::string(name) == "x") input = dims;
    return true;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    if (std::string(name) == "n") return dimsOf({1});
    return std::string(name) == "places" ? dimsOf({input.d[0] == 8 ? 32 : -1}) : input;
  }
  bool setTensorAddress(char const* name, void* address) noexcept override { return addresses[name] = address, true; }
  bool setOutputAllocator(char const*, IOutputAllocator* one) noexcept override { return allocator = one, true; }
  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept override { return profile < 2; }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    const float* x = static_cast<float*>(addresses["x"]);
    float* y = static_cast<float*>(addresses["y"]);
    const int64_t count = input.d[0] * input.d[1];
    const auto n = addresses.find("n");
    const int64_t added = n == addresses.end() ? 0 : *static_cast<int64_t*>(n->second);
    int64_t positive = 0;
    for (int64_t i = 0; i < count; i++) y[i] = 2 * x[i] + added, positive += x[i] > 0;
    if (allocator != nullptr) {
      auto* places = static_cast<int64_t*>(allocator->reallocateOutputAsync("places", nullptr, positive * 8, 256, stream));
      for (int64_t i = 0; i < count; i++) {
        if (x[i] > 0) *places++ = i;
      }
      // A library that forgets to tell.
      if (x[0] != 98) allocator->notifyShape("places", dimsOf({positive}));
    } else if (addresses.count("places") != 0) {
      auto* places = static_cast<int64_t*>(addresses["places"]);
      for (int64_t i = 0; i < count; i++) places[i] = x[i] > 0 ? i : -1;
    }
    if (x[0] == 50) executions.slow++, usleep(1000);
    return x[0] != 99;
  }

  Dims input{};
  std::map<std::string, void*> addresses;
  IOutputAllocator* allocator = nullptr;
};

struct Engine : ICudaEngine, VCudaEngineStub {
  explicit Engine(const std::string& wanted)
      : names{"x", "y"}, vectorized(has(wanted, 'v')), later(has(wanted, 't')) {
    mImpl = this;
    if (has(wanted, '+')) names.push_back("places");
    if (has(wanted, 'n')) names.push_back("n");
  }
  static bool has(const std::string& wanted, char what) { return wanted.find(what) != std::string::npos; }
  int32_t getNbOptimizationProfiles() const noexcept override { return 2; }
  int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(names.size()); }
  char const* getIOTensorName(int32_t i) const noexcept override { return names[i].c_str(); }
  DataType getTensorDataType(char const* name) const noexcept override {
    if (later && *name == 'x') return static_cast<DataType>(10);
    return *name == 'p' || *name == 'n' ? DataType::kINT64 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    return *name == 'n' ? dimsOf({1}) : *name == 'p' ? dimsOf({-1}) : dimsOf({-1, 4});
  }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return *name == 'x' || *name == 'n' ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  TensorLocation getTensorLocation(char const* name) const noexcept override {
    return *name == 'n' ? TensorLocation::kHOST : TensorLocation::kDEVICE;
  }
  TensorFormat getTensorFormatV2(char const* name, int32_t profile) const noexcept override {
    return vectorized && *name == 'x' && profile == 1 ? TensorFormat::kCHW4 : TensorFormat::kLINEAR;
  }
  char const* getTensorFormatDescV2(char const*, int32_t) const noexcept override { return "four channels in one"; }
  int32_t const* getProfileTensorValues(char const*, int32_t, OptProfileSelector select) const noexcept override {
    static const int32_t values[] = {0, 10, 20};
    return values + static_cast<int>(select);
  }
  Dims getProfileShape(char const* name, int32_t profile, OptProfileSelector select) const noexcept override {
    if (*name == 'n') return dimsOf({1});
    const bool largest = select == OptProfileSelector::kMAX;
    return dimsOf({profile == 0 ? (largest ? 8 : 1) : (largest ? 64 : 9), 4});
  }
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy) noexcept override { return new Context; }

  std::vector<std::string> names;
  const bool vectorized, later;
};

struct Runtime : IRuntime, VRuntimeStub {
  explicit Runtime(ILogger* logger) : logger(logger) { mImpl = this; }
  ICudaEngine* deserializeCudaEngine(void const* bytes, std::size_t) noexcept override {
    const char* mark = static_cast<const char*>(bytes) + 28;
    if (std::memcmp(mark, "GOOD", 4) == 0) return new Engine(mark + 4);
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
