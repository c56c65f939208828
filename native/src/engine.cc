#include "engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "element_size.h"
#include "failure.h"
#include "logger.h"

namespace trtorch {

namespace {

using namespace nvinfer1;

// CUstreamCaptureMode: other threads of the process may allocate meanwhile.
constexpr int kCAPTURE_THREAD_LOCAL = 1;
// CU_STREAM_NON_BLOCKING.
constexpr unsigned kNON_BLOCKING = 1;

constexpr Dims kUNKNOWN{-1, {}};

std::string format(const Dims& dims) {
  std::string text = "[";
  for (int32_t i = 0; i < dims.nbDims; i++) text += (i == 0 ? "" : ", ") + std::to_string(dims.d[i]);
  return text + "]";
}

}  // namespace

/** Takes the memory and the dims of an output whose size the engine tells while it runs. */
class Engine::OutputAllocator : public IOutputAllocator {
 public:
  explicit OutputAllocator(DeviceMemory& memory) : memory_(memory) {}

#if NV_TENSORRT_MAJOR == 10
  void* reallocateOutput(char const*, void*, uint64_t size, uint64_t) noexcept override { return grow(size); }
#endif
  void* reallocateOutputAsync(char const*, void*, uint64_t size, uint64_t, cudaStream_t) override { return grow(size); }
  void notifyShape(char const*, Dims const& dims) noexcept override { this->dims = dims; }

  /** Of the last execution. */
  Dims dims = kUNKNOWN;

 private:
  void* grow(uint64_t size) noexcept {
    try {
      memory_.reserve(size);
      return memory_.pointer();
    } catch (const Failure&) {
      // TensorRT fails the execution and says why.
      return nullptr;
    }
  }

  DeviceMemory& memory_;
};

Engine::Binding::Binding(const CudaDriver& cuda, TensorInfo info) : info(std::move(info)), device(cuda), host(cuda) {}
Engine::Binding::~Binding() = default;

Engine::Engine(const Library& library, const std::string& device, const void* bytes, size_t size, bool allowHostCode)
    : library_(library), cuda_(CudaDriver::get()) {
  device_ = cuda_.findDevice(device);
  deviceName_ = cuda_.describe(device_);
  cuda_.check(cuda_.primaryRetain(&context_, device_), "open " + deviceName_);
  try {
    ContextScope scope(cuda_, context_);
    runtime_.reset(library.createRuntime(logger()));
    if (runtime_ == nullptr) throw Failure("library", library.name() + " could not start on " + deviceName_);
    if (allowHostCode) runtime_->setEngineHostCodeAllowed(true);
    engine_.reset(runtime_->deserializeCudaEngine(bytes, size));
    if (engine_ == nullptr) {
      throw Failure("library", library.name() + " cannot load this engine on " + deviceName_);
    }
    execution_.reset(engine_->createExecutionContext());
    if (execution_ == nullptr) throw Failure("library", library.name() + " could not create an execution context");
    cuda_.check(cuda_.streamCreate(&stream_, kNON_BLOCKING), "create a stream");
    cuda_.check(cuda_.eventCreate(&start_, 0), "create an event");
    cuda_.check(cuda_.eventCreate(&end_, 0), "create an event");
    readTensors();
  } catch (...) {
    // The members' destructors need the context, and a constructor that throws runs no destructor of its own.
    ContextScope scope(cuda_, context_);
    execution_.reset();
    engine_.reset();
    runtime_.reset();
    if (start_ != nullptr) cuda_.eventDestroy(start_);
    if (end_ != nullptr) cuda_.eventDestroy(end_);
    if (stream_ != nullptr) cuda_.streamDestroy(stream_);
    cuda_.primaryRelease(device_);
    throw;
  }
}

Engine::~Engine() {
  // Without a context, as while the process exits, the driver frees everything itself.
  if (cuda_.ctxPush(context_) != 0) {
    (void)execution_.release();
    (void)engine_.release();
    (void)runtime_.release();
    return;
  }
  cuda_.streamSynchronize(stream_);
  dropGraph();
  execution_.reset();
  engine_.reset();
  runtime_.reset();
  bindings_.clear();
  cuda_.eventDestroy(start_);
  cuda_.eventDestroy(end_);
  cuda_.streamDestroy(stream_);
  CUcontext popped;
  cuda_.ctxPop(&popped);
  cuda_.primaryRelease(device_);
}

void Engine::readTensors() {
  const int32_t profiles = engine_->getNbOptimizationProfiles();
  for (int32_t i = 0; i < engine_->getNbIOTensors(); i++) {
    const char* name = engine_->getIOTensorName(i);
    TensorInfo info;
    info.name = name;
    info.type = engine_->getTensorDataType(name);
    info.dims = engine_->getTensorShape(name);
    info.isInput = engine_->getTensorIOMode(name) == TensorIOMode::kINPUT;
    info.onHost = engine_->getTensorLocation(name) == TensorLocation::kHOST;
    // Throws for a type that this addon does not know.
    bitsOf(info.type);
    for (int32_t p = 0; p < profiles; p++) {
      if (engine_->getTensorFormat(name, p) != TensorFormat::kLINEAR) {
        const char* format = engine_->getTensorFormatDesc(name, p);
        Failure failure("unsupported", "the engine wants '" + info.name + "' in another format than the linear one: " +
                                           (format != nullptr ? format : "unknown"));
        failure.hint = "Build the engine with linear inputs and outputs, as trtorch-build does.";
        throw failure;
      }
      if (!info.isInput) continue;
      info.profiles.push_back({engine_->getProfileShape(name, p, OptProfileSelector::kMIN),
                               engine_->getProfileShape(name, p, OptProfileSelector::kOPT),
                               engine_->getProfileShape(name, p, OptProfileSelector::kMAX)});
      const auto values = info.onHost ? readValues(name, p, countOf(info.profiles.back().min)) : std::nullopt;
      if (values) info.values.push_back(*values);
    }
    tensors_.push_back(info);
    bindings_.push_back(std::make_unique<Binding>(cuda_, info));
  }
}

std::optional<TensorInfo::Range<std::vector<int64_t>>> Engine::readValues(const char* name, int32_t profile,
                                                                          int64_t count) const {
  const auto read = [&](OptProfileSelector select) -> std::vector<int64_t> {
#if NV_TENSORRT_MAJOR == 10
    // Values are read in the form that they were set in. builder.cc sets the 32-bit one, which all releases have.
    const int32_t* narrow = engine_->getProfileTensorValues(name, profile, select);
    if (narrow != nullptr) return {narrow, narrow + count};
    if (!library_.has({10, 11, 0})) return {};
#endif
    const int64_t* values = engine_->getProfileTensorValuesV2(name, profile, select);
    return values != nullptr ? std::vector<int64_t>(values, values + count) : std::vector<int64_t>();
  };
  TensorInfo::Range<std::vector<int64_t>> range{read(OptProfileSelector::kMIN), read(OptProfileSelector::kOPT),
                                                read(OptProfileSelector::kMAX)};
  if (range.min.empty() || range.opt.empty() || range.max.empty()) return std::nullopt;
  return range;
}

void Engine::setInput(Binding& binding, const InputData& input) {
  const TensorInfo& info = binding.info;
  const int64_t expected = bytesOf(input.dims, info.type);
  if (static_cast<int64_t>(input.size) != expected) {
    throw Failure("usage", "input '" + info.name + "' of dims " + format(input.dims) + " has " + std::to_string(expected) +
                               " bytes, not " + std::to_string(input.size));
  }
  if (!execution_->setInputShape(info.name.c_str(), input.dims)) {
    throw Failure("usage", "the engine refuses dims " + format(input.dims) + " for input '" + info.name + "'");
  }
  binding.size = input.size;
  binding.host.reserve(input.size);
  if (input.size > 0) std::memcpy(binding.host.pointer(), input.bytes, input.size);
  if (!info.onHost) binding.device.reserve(input.size);
  void* address = info.onHost ? binding.host.pointer() : binding.device.pointer();
  if (!execution_->setTensorAddress(info.name.c_str(), address)) {
    throw Failure("library", "the engine refuses the address of input '" + info.name + "'");
  }
}

void Engine::setOutput(Binding& binding) {
  const TensorInfo& info = binding.info;
  const char* name = info.name.c_str();
  const Dims dims = execution_->getTensorShape(name);
  if (dims.nbDims < 0) throw Failure("library", "the engine cannot tell the dims of output '" + info.name + "'");
  if (isDynamic(dims)) {
    if (info.onHost) throw Failure("unsupported", "output '" + info.name + "' is of unknown size and on the host");
    if (binding.allocator == nullptr) binding.allocator = std::make_unique<OutputAllocator>(binding.device);
    if (execution_->setOutputAllocator(name, binding.allocator.get())) return;
    throw Failure("library", "the engine refuses an allocator for output '" + info.name + "'");
  }
  if (binding.allocator != nullptr) {
    // Its size was unknown in the execution before, and other inputs tell it.
    if (!execution_->setOutputAllocator(name, nullptr)) {
      throw Failure("library", "the engine keeps the allocator of output '" + info.name + "'");
    }
    binding.allocator.reset();
  }
  binding.size = static_cast<size_t>(bytesOf(dims, info.type));
  binding.host.reserve(binding.size);
  if (!info.onHost) binding.device.reserve(binding.size);
  void* address = info.onHost ? binding.host.pointer() : binding.device.pointer();
  if (!execution_->setTensorAddress(name, address)) {
    throw Failure("library", "the engine refuses the address of output '" + info.name + "'");
  }
}

void Engine::enqueue() {
  for (const auto& binding : bindings_) {
    if (binding->allocator != nullptr) binding->allocator->dims = kUNKNOWN;
  }
  if (!execution_->enqueueV3(stream_)) throw Failure("library", "TensorRT could not execute the engine");
}

std::string Engine::bindingsKey() const {
  std::string key = std::to_string(profile_);
  for (const auto& binding : bindings_) {
    const bool onHost = binding->info.onHost;
    key += " " + format(execution_->getTensorShape(binding->info.name.c_str())) + "@" +
           std::to_string(onHost ? reinterpret_cast<uintptr_t>(binding->host.pointer()) : binding->device.address());
    // Such an input's values are read while the work is enqueued, and not when a graph repeats it.
    if (onHost && binding->info.isInput) key.append(static_cast<const char*>(binding->host.pointer()), binding->size);
  }
  return key;
}

bool Engine::capture() {
  if (graph_ != nullptr) return true;
  for (const auto& binding : bindings_) {
    // How much such an output holds is decided on the host while the engine runs.
    if (binding->allocator != nullptr) return false;
  }
  // TensorRT settles what it defers until the first execution with new shapes.
  enqueue();
  cuda_.check(cuda_.streamSynchronize(stream_), "execute the engine");
  if (cuda_.streamBeginCapture(stream_, kCAPTURE_THREAD_LOCAL) != 0) return false;
  const bool enqueued = execution_->enqueueV3(stream_);
  CUgraph graph = nullptr;
  const bool captured = cuda_.streamEndCapture(stream_, &graph) == 0 && graph != nullptr;
  const bool usable = enqueued && captured && cuda_.graphInstantiate(&graph_, graph, 0) == 0;
  if (graph != nullptr) cuda_.graphDestroy(graph);
  if (!usable) {
    graph_ = nullptr;
    return false;
  }
  return true;
}

void Engine::dropGraph() {
  if (graph_ != nullptr) cuda_.graphExecDestroy(graph_);
  graph_ = nullptr;
}

float Engine::timed(bool graph) {
  cuda_.check(cuda_.eventRecord(start_, stream_), "record an event");
  if (graph) {
    cuda_.check(cuda_.graphLaunch(graph_, stream_), "launch the graph");
  } else {
    enqueue();
  }
  cuda_.check(cuda_.eventRecord(end_, stream_), "record an event");
  cuda_.check(cuda_.streamSynchronize(stream_), "execute the engine");
  float milliseconds = 0;
  cuda_.check(cuda_.eventElapsed(&milliseconds, start_, end_), "read a timing");
  return milliseconds;
}

std::vector<OutputData> Engine::readOutputs() {
  for (const auto& binding : bindings_) {
    if (binding->info.isInput || binding->info.onHost) continue;
    if (binding->allocator != nullptr) {
      if (binding->allocator->dims.nbDims < 0) {
        throw Failure("library", "the engine did not tell the dims of output '" + binding->info.name + "'");
      }
      binding->size = static_cast<size_t>(bytesOf(binding->allocator->dims, binding->info.type));
      binding->host.reserve(binding->size);
    }
    if (binding->size == 0) continue;
    cuda_.check(cuda_.copyToHost(binding->host.pointer(), binding->device.address(), binding->size, stream_),
                "copy output '" + binding->info.name + "'");
  }
  cuda_.check(cuda_.streamSynchronize(stream_), "copy the outputs");
  std::vector<OutputData> outputs;
  for (const auto& binding : bindings_) {
    const TensorInfo& info = binding->info;
    if (info.isInput) continue;
    const Dims dims =
        binding->allocator != nullptr ? binding->allocator->dims : execution_->getTensorShape(info.name.c_str());
    auto bytes = std::make_unique<uint8_t[]>(std::max<size_t>(binding->size, 1));
    std::memcpy(bytes.get(), binding->host.pointer(), binding->size);
    outputs.push_back({info.name, info.type, dims, std::move(bytes), binding->size});
  }
  return outputs;
}

ExecuteResult Engine::execute(const std::vector<InputData>& inputs, const ExecuteOptions& options,
                              const std::atomic<bool>& cancelled) {
  const auto throwIfCancelled = [&cancelled] {
    if (cancelled) throw Failure("cancelled", "the execution was cancelled");
  };
  std::lock_guard<std::mutex> lock(mutex_);
  throwIfCancelled();
  // Empty until this execution has succeeded: after a failure, nothing is taken over.
  const std::string lastKey = std::exchange(lastKey_, "");
  ContextScope scope(cuda_, context_);
  if (options.profile != profile_) {
    if (!execution_->setOptimizationProfileAsync(options.profile, stream_)) {
      throw Failure("usage", "the engine has no optimization profile " + std::to_string(options.profile));
    }
    cuda_.check(cuda_.streamSynchronize(stream_), "change the optimization profile");
    profile_ = options.profile;
  }
  for (const auto& binding : bindings_) {
    if (!binding->info.isInput) continue;
    const auto input =
        std::find_if(inputs.begin(), inputs.end(), [&](const InputData& one) { return one.name == binding->info.name; });
    if (input == inputs.end()) throw Failure("usage", "input '" + binding->info.name + "' is missing");
    setInput(*binding, *input);
  }
  for (const auto& binding : bindings_) {
    if (!binding->info.isInput) setOutput(*binding);
  }
  for (const auto& binding : bindings_) {
    if (!binding->info.isInput || binding->info.onHost || binding->size == 0) continue;
    cuda_.check(cuda_.copyToDevice(binding->device.address(), binding->host.pointer(), binding->size, stream_),
                "copy input '" + binding->info.name + "'");
  }
  // What was captured holds only as long as the context stays as it was then, with and without a graph.
  const std::string key = bindingsKey();
  if (key != lastKey) dropGraph();
  ExecuteResult result;
  result.usedGraph = options.graph && capture();
  for (int i = 0; i < options.warmup; i++) {
    throwIfCancelled();
    timed(result.usedGraph);
  }
  for (int i = 0; i < options.iterations; i++) {
    throwIfCancelled();
    result.times.push_back(timed(result.usedGraph));
  }
  result.outputs = readOutputs();
  lastKey_ = key;
  return result;
}

}  // namespace trtorch
