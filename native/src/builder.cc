#include "builder.h"

#include <NvInfer.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "cuda_driver.h"
#include "element_size.h"
#include "events.h"
#include "failure.h"
#include "library.h"
#include "logger.h"
#include "program.h"
#include "replay.h"
#include "task.h"

namespace trtorch {

namespace {

using namespace nvinfer1;

/** What `nativeOptions` of src/backends/tensorrt/index.ts makes; null or absent is the library's default. */
struct BuildOptions {
  Severity logLevel = Severity::kWARNING;
  std::optional<double> workspace;
  std::optional<int> optimizationLevel;
  std::optional<int> avgTimingIterations;
  std::optional<int> maxAuxStreams;
  bool tf32 = true;
  bool sparsity = false;
  bool refit = false;
  bool stripPlan = false;
  bool versionCompatible = false;
  bool excludeLeanRuntime = false;
  int hardwareCompatibility = 0;
  int profilingVerbosity = 0;
  std::optional<int> dlaCore;
  bool gpuFallback = false;
  std::vector<int> computeCapabilities;
  /** Profiles after the one of the program's own ranges: a range an input. */
  std::vector<std::vector<Range>> profiles;
  bool useTimingCache = false;
  std::vector<char> timingCache;
};

std::optional<int> optionalInteger(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  if (!value.IsNumber()) return std::nullopt;
  return value.As<Napi::Number>().Int32Value();
}

bool flag(const Napi::Object& from, const char* name, bool otherwise) {
  const Napi::Value value = from.Get(name);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : otherwise;
}

std::vector<char> copyBytes(const Napi::Value& value) {
  const Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.Data() + bytes.ByteLength()};
}

BuildOptions readOptions(const Napi::Object& from) {
  BuildOptions options;
  options.logLevel = static_cast<Severity>(optionalInteger(from, "logLevel").value_or(2));
  if (from.Get("workspace").IsNumber()) options.workspace = from.Get("workspace").As<Napi::Number>().DoubleValue();
  options.optimizationLevel = optionalInteger(from, "optimizationLevel");
  options.avgTimingIterations = optionalInteger(from, "avgTimingIterations");
  options.maxAuxStreams = optionalInteger(from, "maxAuxStreams");
  options.tf32 = flag(from, "tf32", true);
  options.sparsity = flag(from, "sparsity", false);
  options.refit = flag(from, "refit", false);
  options.stripPlan = flag(from, "stripPlan", false);
  options.versionCompatible = flag(from, "versionCompatible", false);
  options.excludeLeanRuntime = flag(from, "excludeLeanRuntime", false);
  options.hardwareCompatibility = optionalInteger(from, "hardwareCompatibility").value_or(0);
  options.profilingVerbosity = optionalInteger(from, "profilingVerbosity").value_or(0);
  options.dlaCore = optionalInteger(from, "dlaCore");
  options.gpuFallback = flag(from, "gpuFallback", false);
  if (from.Get("computeCapabilities").IsArray()) {
    const Napi::Array list = from.Get("computeCapabilities").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) {
      options.computeCapabilities.push_back(list.Get(i).ToNumber().Int32Value());
    }
  }
  if (from.Get("profiles").IsArray()) {
    const Napi::Array profiles = from.Get("profiles").As<Napi::Array>();
    for (uint32_t i = 0; i < profiles.Length(); i++) {
      const Napi::Array inputs = profiles.Get(i).As<Napi::Array>();
      std::vector<Range> ranges;
      for (uint32_t j = 0; j < inputs.Length(); j++) ranges.push_back(readRange(inputs.Get(j).As<Napi::Object>()));
      options.profiles.push_back(std::move(ranges));
    }
  }
  const Napi::Value cache = from.Get("timingCache");
  options.useTimingCache = cache.IsTypedArray();
  if (options.useTimingCache) options.timingCache = copyBytes(cache);
  return options;
}

/** Hands TensorRT's phases on, and tells it to stop when the task is cancelled. */
class Progress : public IProgressMonitor {
 public:
  explicit Progress(Task& task) : task_(task) {}

  void phaseStart(char const* name, char const* parent, int32_t steps) noexcept override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      phases_[name] = {parent != nullptr ? parent : "", steps, {}};
    }
    report(name, 0, true);
  }

  bool stepComplete(char const* name, int32_t step) noexcept override {
    report(name, step + 1, false);
    return !task_.cancelled();
  }

  void phaseFinish(char const* name) noexcept override {
    report(name, -1, true);
    std::lock_guard<std::mutex> lock(mutex_);
    phases_.erase(name);
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Phase {
    std::string parent;
    int32_t total;
    Clock::time_point reported;
  };

  /** A phase may have thousands of steps: between its start and end, at most 25 a second are handed on. */
  void report(const char* name, int32_t step, bool always) {
    std::string parent;
    int32_t total;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      Phase& phase = phases_[name];
      const Clock::time_point now = Clock::now();
      if (!always && now - phase.reported < std::chrono::milliseconds(40)) return;
      phase.reported = now;
      parent = phase.parent;
      total = phase.total;
    }
    if (step < 0) step = total;
    task_.emit([phase = std::string(name), parent, step, total](Napi::Env env) -> Napi::Value {
      Napi::Object event = Napi::Object::New(env);
      event.Set("type", "progress");
      event.Set("phase", phase);
      event.Set("parent", parent.empty() ? env.Null() : Napi::String::New(env, parent));
      event.Set("step", step);
      event.Set("total", total);
      return event;
    });
  }

  Task& task_;
  std::mutex mutex_;
  std::map<std::string, Phase> phases_;
};

std::unique_ptr<IBuilder> createBuilder(const Library& library) {
#ifndef TRTORCH_RTX
  // TensorRT 10.6 ends the process where it finds no driver; here that is an error like any other.
  CudaDriver::get();
#endif
  std::unique_ptr<IBuilder> builder(library.createBuilder(logger()));
  if (builder == nullptr) throw Failure("library", library.name() + " could not create a builder");
  return builder;
}

std::unique_ptr<IBuilderConfig> createConfig(const Library& library, IBuilder& builder) {
  std::unique_ptr<IBuilderConfig> config(builder.createBuilderConfig());
  if (config == nullptr) throw Failure("library", library.name() + " could not create a builder configuration");
  return config;
}

std::unique_ptr<INetworkDefinition> createNetwork(const Library& library, IBuilder& builder) {
  // Where the flag is deprecated, it names the only way there is.
  const auto flags = 1U << static_cast<uint32_t>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
  std::unique_ptr<INetworkDefinition> network(builder.createNetworkV2(flags));
  if (network == nullptr) throw Failure("library", library.name() + " could not create a network");
  return network;
}

/** The layer whose output the library cannot infer, after a failed build: the error lines alone seldom name it. */
std::string firstInvalidLayer(const INetworkDefinition& network) {
  for (int32_t i = 0; i < network.getNbLayers(); i++) {
    const ILayer* layer = network.getLayer(i);
    for (int32_t j = 0; j < layer->getNbOutputs(); j++) {
      if (layer->getOutput(j)->getDimensions().nbDims < 0) return layer->getName();
    }
  }
  return "";
}

void setShape(IOptimizationProfile& profile, const ProgramInput& input, const Range& range) {
  const char* name = input.name.c_str();
  const bool taken = profile.setDimensions(name, OptProfileSelector::kMIN, toDims(range.min)) &&
                     profile.setDimensions(name, OptProfileSelector::kOPT, toDims(range.opt)) &&
                     profile.setDimensions(name, OptProfileSelector::kMAX, toDims(range.max));
  if (!taken) throw Failure("library", "TensorRT refused the shape range of input '" + input.name + "'", input.name);
}

void setValues(IOptimizationProfile& profile, const ProgramInput& input, const Range& range) {
  auto set = [&](OptProfileSelector select, const Numbers& numbers) {
#if NV_TENSORRT_MAJOR == 10
    // The 64-bit form came after 10.6; sizes fit the 32-bit one.
    const std::vector<int32_t> values(numbers.begin(), numbers.end());
    return profile.setShapeValues(input.name.c_str(), select, values.data(), static_cast<int32_t>(values.size()));
#else
    const std::vector<int64_t> values(numbers.begin(), numbers.end());
    return profile.setShapeValuesV2(input.name.c_str(), select, values.data(), static_cast<int32_t>(values.size()));
#endif
  };
  if (!set(OptProfileSelector::kMIN, range.min) || !set(OptProfileSelector::kOPT, range.opt) ||
      !set(OptProfileSelector::kMAX, range.max)) {
    throw Failure("library", "TensorRT refused the value range of input '" + input.name + "'", input.name);
  }
}

void addProfiles(IBuilder& builder, IBuilderConfig& config, const Program& program, const BuildOptions& options) {
  bool needed = !options.profiles.empty();
  for (const ProgramInput& input : program.inputs) needed = needed || isDynamic(input.dims) || input.values.has_value();
  if (!needed) return;
  for (size_t p = 0; p <= options.profiles.size(); p++) {
    IOptimizationProfile* profile = builder.createOptimizationProfile();
    if (profile == nullptr) throw Failure("library", "TensorRT could not create an optimization profile");
    for (size_t i = 0; i < program.inputs.size(); i++) {
      const ProgramInput& input = program.inputs[i];
      if (p > 0 && i >= options.profiles[p - 1].size()) {
        throw Failure("config", "optimization profile " + std::to_string(p) + " has no shapes for input '" + input.name + "'");
      }
      if (isDynamic(input.dims)) setShape(*profile, input, p == 0 ? input.shape : options.profiles[p - 1][i]);
      if (input.values) setValues(*profile, input, *input.values);
    }
    if (!profile->isValid() || config.addOptimizationProfile(profile) < 0) {
      throw Failure("library", "TensorRT refused optimization profile " + std::to_string(p));
    }
  }
}

void setComputeCapabilities(IBuilderConfig& config, const std::vector<int>& capabilities) {
#ifdef TRTORCH_RTX
  config.setNbComputeCapabilities(static_cast<int32_t>(capabilities.size()));
  for (size_t i = 0; i < capabilities.size(); i++) {
    const auto capability = static_cast<ComputeCapability>(capabilities[i]);
    if (!config.setComputeCapability(capability, static_cast<int32_t>(i))) {
      throw Failure("unsupported", "TensorRT-RTX " + kHEADERS.toString() + " cannot build for sm_" +
                                       std::to_string(capabilities[i]));
    }
  }
#else
  (void)config;
  if (!capabilities.empty()) {
    throw Failure("unsupported", "the full TensorRT builds for the GPU of this machine only, not for a list of targets");
  }
#endif
}

void configure(IBuilderConfig& config, const BuildOptions& options) {
  auto set = [&config](bool wanted, BuilderFlag flag) {
    if (wanted) config.setFlag(flag);
  };
  if (!options.tf32) config.clearFlag(BuilderFlag::kTF32);
  set(options.sparsity, BuilderFlag::kSPARSE_WEIGHTS);
  set(options.refit, BuilderFlag::kREFIT);
  set(options.stripPlan, BuilderFlag::kSTRIP_PLAN);
  set(options.versionCompatible, BuilderFlag::kVERSION_COMPATIBLE);
  set(options.excludeLeanRuntime, BuilderFlag::kEXCLUDE_LEAN_RUNTIME);
  if (options.workspace) config.setMemoryPoolLimit(MemoryPoolType::kWORKSPACE, static_cast<size_t>(*options.workspace));
  if (options.optimizationLevel) config.setBuilderOptimizationLevel(*options.optimizationLevel);
  if (options.avgTimingIterations) config.setAvgTimingIterations(*options.avgTimingIterations);
  if (options.maxAuxStreams) config.setMaxAuxStreams(*options.maxAuxStreams);
  if (options.hardwareCompatibility != 0) {
    config.setHardwareCompatibilityLevel(static_cast<HardwareCompatibilityLevel>(options.hardwareCompatibility));
  }
  config.setProfilingVerbosity(static_cast<ProfilingVerbosity>(options.profilingVerbosity));
  if (options.dlaCore) {
    config.setDefaultDeviceType(DeviceType::kDLA);
    config.setDLACore(*options.dlaCore);
    set(options.gpuFallback, BuilderFlag::kGPU_FALLBACK);
  }
  setComputeCapabilities(config, options.computeCapabilities);
}

/** Attaches a timing cache. One that the library does not accept is dropped with a warning: it only saves time. */
std::unique_ptr<ITimingCache> attachTimingCache(IBuilderConfig& config, const BuildOptions& options, Task& task) {
#ifdef TRTORCH_RTX
  // TensorRT-RTX times nothing while it builds: it takes timing caches and does nothing with them.
  (void)config, (void)options, (void)task;
  return nullptr;
#else
  if (!options.useTimingCache) return nullptr;
  std::unique_ptr<ITimingCache> cache;
  if (!options.timingCache.empty()) {
    cache.reset(config.createTimingCache(options.timingCache.data(), options.timingCache.size()));
    if (cache != nullptr && config.setTimingCache(*cache, false)) return cache;
    emitLines(task)(Severity::kWARNING, "the timing cache is damaged, or of another GPU or library: it is made anew");
  }
  cache.reset(config.createTimingCache(nullptr, 0));
  if (cache == nullptr || !config.setTimingCache(*cache, false)) return nullptr;
  return cache;
#endif
}

Napi::Value hostMemoryToBuffer(Napi::Env env, const std::shared_ptr<IHostMemory>& memory) {
  if (memory == nullptr) return env.Null();
  return Napi::Buffer<uint8_t>::New(
      env, static_cast<uint8_t*>(memory->data()), memory->size(),
      [](Napi::Env, uint8_t*, std::shared_ptr<IHostMemory>* owner) { delete owner; },
      new std::shared_ptr<IHostMemory>(memory));
}

void throwIfCancelled(const Task& task) {
  if (task.cancelled()) throw Failure("cancelled", "the build was cancelled");
}

/**
 * One build at a time in a process: TensorRT-RTX keeps the targets of the build in progress in a global, and on one GPU
 * builds would disturb each other's timings.
 */
class BuildTurn {
 public:
  explicit BuildTurn(const Task& task) {
    while (!mutex().try_lock_for(std::chrono::milliseconds(20))) throwIfCancelled(task);
  }
  ~BuildTurn() { mutex().unlock(); }

  /** The process's builder of a library, as new. It is kept: with the last builder go the kernels that it has loaded. */
  IBuilder& builder(const Library& library) const {
    // Never destroyed: the library's own globals may be gone by then.
    static auto& builders = *new std::map<const Library*, std::unique_ptr<IBuilder>>();
    std::unique_ptr<IBuilder>& kept = builders[&library];
    if (kept == nullptr) {
      kept = createBuilder(library);
    } else {
      kept->reset();
    }
    return *kept;
  }

  BuildTurn(const BuildTurn&) = delete;
  BuildTurn& operator=(const BuildTurn&) = delete;

 private:
  static std::timed_mutex& mutex() {
    static std::timed_mutex instance;
    return instance;
  }
};

Task::MakeValue runBuild(Task& task, const std::string& path, const Program& program, const BuildOptions& options) {
  const Library& library = Library::open(path);
  const BuildTurn turn(task);
  LogSink sink(options.logLevel, emitLines(task));
  // Destroyed in reverse: the cache must outlive the configuration that used it.
  std::unique_ptr<ITimingCache> cache;
  Progress progress(task);
  std::unique_ptr<INetworkDefinition> network;
  std::unique_ptr<IBuilderConfig> config;
  try {
    IBuilder& builder = turn.builder(library);
    network = createNetwork(library, builder);
    throwIfCancelled(task);
    Replay(library, *network).run(program);
    config = createConfig(library, builder);
    configure(*config, options);
    addProfiles(builder, *config, program, options);
    cache = attachTimingCache(*config, options, task);
    config->setProgressMonitor(&progress);
    throwIfCancelled(task);

    std::shared_ptr<IHostMemory> engine(builder.buildSerializedNetwork(*network, *config));
    throwIfCancelled(task);
    if (engine == nullptr) {
      const std::string layer = firstInvalidLayer(*network);
      throw Failure("library", library.name() + " could not build the engine" +
                                   (layer.empty() ? "" : ": layer '" + layer + "' is invalid"), layer);
    }
    std::shared_ptr<IHostMemory> timings;
    if (cache != nullptr) timings.reset(cache->serialize());
    return [engine, timings](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("engine", hostMemoryToBuffer(env, engine));
      result.Set("timingCache", hostMemoryToBuffer(env, timings));
      return result;
    };
  } catch (Failure& failure) {
    failure.log = sink.errors();
    throw;
  }
}

struct DescribedTensor {
  int id;
  Dims dims;
  DataType type;
};

Task::MakeValue runDescribe(Task& task, const std::string& path, const Program& program, const BuildOptions& options) {
  const Library& library = Library::open(path);
  LogSink sink(options.logLevel, emitLines(task));
  std::unique_ptr<IBuilder> builder;
  std::unique_ptr<INetworkDefinition> network;
  try {
    builder = createBuilder(library);
    network = createNetwork(library, *builder);
    Replay replay(library, *network);
    replay.run(program);
    std::vector<DescribedTensor> described;
    for (const auto& [id, tensor] : replay.tensors()) described.push_back({id, tensor->getDimensions(), tensor->getType()});
    const std::string invalid = firstInvalidLayer(*network);
    if (!invalid.empty()) {
      throw Failure("library", library.name() + " finds layer '" + invalid + "' invalid", invalid);
    }
    return [described](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env, described.size());
      for (uint32_t i = 0; i < described.size(); i++) {
        Napi::HandleScope scope(env);
        Napi::Array dims = Napi::Array::New(env);
        for (int32_t d = 0; d < described[i].dims.nbDims; d++) dims.Set(d, static_cast<double>(described[i].dims.d[d]));
        Napi::Object tensor = Napi::Object::New(env);
        tensor.Set("tensor", described[i].id);
        tensor.Set("dims", dims);
        tensor.Set("type", static_cast<int>(described[i].type));
        list.Set(i, tensor);
      }
      return list;
    };
  } catch (Failure& failure) {
    failure.log = sink.errors();
    throw;
  }
}

/** What either of two timing caches knows. */
Task::MakeValue runCombine(const std::string& path, const std::vector<char>& kept, const std::vector<char>& added) {
#ifdef TRTORCH_RTX
  (void)path, (void)kept, (void)added;
  throw Failure("unsupported", "TensorRT-RTX has no timing cache");
#else
  const Library& library = Library::open(path);
  const LogSink sink(Severity::kERROR, [](Severity, const char*) {});
  try {
    const std::unique_ptr<IBuilder> builder = createBuilder(library);
    const std::unique_ptr<IBuilderConfig> config = createConfig(library, *builder);
    const auto read = [&](const std::vector<char>& bytes) {
      return std::unique_ptr<ITimingCache>(config->createTimingCache(bytes.data(), bytes.size()));
    };
    const auto result = read(kept), other = read(added);
    if (result == nullptr || other == nullptr || !result->combine(*other, false)) {
      throw Failure("library", "the timing cache is damaged, or of another GPU or library");
    }
    const std::shared_ptr<IHostMemory> combined(result->serialize());
    return [combined](Napi::Env env) -> Napi::Value { return hostMemoryToBuffer(env, combined); };
  } catch (Failure& failure) {
    failure.log = sink.errors();
    throw;
  }
#endif
}

using Run = Task::MakeValue (*)(Task&, const std::string&, const Program&, const BuildOptions&);

Napi::Value startWith(const Napi::CallbackInfo& info, const char* name, Run run) {
  Napi::Env env = info.Env();
  try {
    std::string path = info[0].As<Napi::String>();
    auto program = std::make_shared<Program>(readProgram(info[1].As<Napi::Object>()));
    BuildOptions options = readOptions(info[2].As<Napi::Object>());
    return Task::start(env, name, info[3], info[1],
                       [path, program, options = std::move(options), run](Task& task) {
                         return run(task, path, *program, options);
                       });
  } catch (const Failure& failure) {
    throw failure.toError(env);
  }
}

}  // namespace

Napi::Value build(const Napi::CallbackInfo& info) { return startWith(info, "trtorch.build", runBuild); }

Napi::Value describe(const Napi::CallbackInfo& info) { return startWith(info, "trtorch.describe", runDescribe); }

Napi::Value combineTimingCaches(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>();
  return Task::start(env, "trtorch.combineTimingCaches", env.Undefined(), env.Undefined(),
                     [path, kept = copyBytes(info[1]), added = copyBytes(info[2])](Task&) {
                       return runCombine(path, kept, added);
                     })
      .Get("promise");
}

}  // namespace trtorch
