#include "runtime.h"

#include <atomic>
#include <memory>

#include "engine.h"
#include "events.h"
#include "failure.h"
#include "logger.h"
#include "program.h"
#include "running_work.h"
#include "task.h"

namespace trtorch {

namespace {

/** What JS holds: the engine, until it is disposed of. Work in progress keeps the engine by itself. */
struct Handle {
  std::shared_ptr<Engine> engine;
  /** Bytes told to the garbage collector, so that dropped engines do not pile up. */
  int64_t size;
};

Handle& handleOf(const Napi::Value& value) { return *value.As<Napi::External<Handle>>().Data(); }

Napi::Value makeHandle(Napi::Env env, std::shared_ptr<Engine> engine, int64_t size) {
  Napi::MemoryManagement::AdjustExternalMemory(env, size);
  return Napi::External<Handle>::New(env, new Handle{std::move(engine), size}, [](Napi::Env env, Handle* handle) {
    Napi::MemoryManagement::AdjustExternalMemory(env, -handle->size);
    delete handle;
  });
}

Napi::Array fromNumbers(Napi::Env env, const nvinfer1::Dims& dims) {
  Napi::Array array = Napi::Array::New(env);
  for (int32_t i = 0; i < dims.nbDims; i++) array.Set(i, static_cast<double>(dims.d[i]));
  return array;
}

Napi::Array fromNumbers(Napi::Env env, const std::vector<int64_t>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); i++) array.Set(i, static_cast<double>(values[i]));
  return array;
}

template <typename T>
Napi::Array fromRanges(Napi::Env env, const std::vector<TensorInfo::Range<T>>& ranges) {
  Napi::Array array = Napi::Array::New(env, ranges.size());
  for (uint32_t i = 0; i < ranges.size(); i++) {
    Napi::Object range = Napi::Object::New(env);
    range.Set("min", fromNumbers(env, ranges[i].min));
    range.Set("opt", fromNumbers(env, ranges[i].opt));
    range.Set("max", fromNumbers(env, ranges[i].max));
    array.Set(i, range);
  }
  return array;
}

Napi::Value fromTensors(Napi::Env env, const std::vector<TensorInfo>& tensors) {
  Napi::Array array = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); i++) {
    const TensorInfo& from = tensors[i];
    Napi::Object tensor = Napi::Object::New(env);
    tensor.Set("name", from.name);
    tensor.Set("type", static_cast<int>(from.type));
    tensor.Set("dims", fromNumbers(env, from.dims));
    tensor.Set("isInput", from.isInput);
    tensor.Set("profiles", fromRanges(env, from.profiles));
    tensor.Set("values", fromRanges(env, from.values));
    array.Set(i, tensor);
  }
  return array;
}

Napi::Value fromResult(Napi::Env env, ExecuteResult& result) {
  Napi::Array outputs = Napi::Array::New(env, result.outputs.size());
  for (uint32_t i = 0; i < result.outputs.size(); i++) {
    OutputData& from = result.outputs[i];
    Napi::Object output = Napi::Object::New(env);
    output.Set("name", from.name);
    output.Set("type", static_cast<int>(from.type));
    output.Set("dims", fromNumbers(env, from.dims));
    uint8_t* bytes = from.bytes.release();
    output.Set("data", Napi::Buffer<uint8_t>::New(env, bytes, from.size, [](Napi::Env, uint8_t* data) { delete[] data; }));
    outputs.Set(i, output);
  }
  Napi::Float32Array times = Napi::Float32Array::New(env, result.times.size());
  for (size_t i = 0; i < result.times.size(); i++) times[i] = result.times[i];
  Napi::Object made = Napi::Object::New(env);
  made.Set("outputs", outputs);
  made.Set("times", times);
  made.Set("usedGraph", result.usedGraph);
  return made;
}

int integer(const Napi::Object& from, const char* name) { return from.Get(name).ToNumber().Int32Value(); }

/** One execution on libuv's pool: it is short, and a thread of its own would cost more than many engines take. */
class ExecuteWorker : public Napi::AsyncWorker {
 public:
  ExecuteWorker(Napi::Env env, std::shared_ptr<Engine> engine, const Napi::Array& inputs, const Napi::Object& options)
      : AsyncWorker(env, "trtorch.executeEngine"),
        deferred_(Napi::Promise::Deferred::New(env)),
        keep_(Napi::Persistent(inputs.As<Napi::Object>())),
        engine_(std::move(engine)) {
    for (uint32_t i = 0; i < inputs.Length(); i++) {
      const Napi::Object input = inputs.Get(i).As<Napi::Object>();
      const Napi::Uint8Array data = input.Get("data").As<Napi::Uint8Array>();
      inputs_.push_back({input.Get("name").ToString(), readDims(input.Get("dims").As<Napi::Array>()), data.Data(),
                         data.ByteLength()});
    }
    options_.profile = integer(options, "profile");
    options_.warmup = integer(options, "warmup");
    options_.iterations = integer(options, "iterations");
    options_.graph = options.Get("graph").ToBoolean();
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    const RunningWork running(cancelled_);
    LogSink sink(Severity::kERROR, [](Severity, const char*) {});
    try {
      result_ = engine_->execute(inputs_, options_, cancelled_);
    } catch (Failure& failure) {
      failure.log = sink.errors();
      failure_ = std::make_unique<Failure>(failure);
    }
    // Here, and not on the main thread, when it was disposed of meanwhile.
    engine_.reset();
  }

  void OnOK() override {
    if (failure_ != nullptr) {
      deferred_.Reject(failure_->toError(Env()).Value());
    } else {
      deferred_.Resolve(fromResult(Env(), result_));
    }
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference keep_;
  std::shared_ptr<Engine> engine_;
  std::vector<InputData> inputs_;
  ExecuteOptions options_;
  ExecuteResult result_;
  std::unique_ptr<Failure> failure_;
  /** One execution is too short to be stopped, and a benchmark has many. */
  std::atomic<bool> cancelled_{false};
};

}  // namespace

Napi::Value loadEngine(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  const Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  const void* data = bytes.Data();
  const size_t size = bytes.ByteLength();
  const Napi::Object options = info[2].As<Napi::Object>();
  const std::string device = options.Get("device").ToString();
  const bool allowHostCode = options.Get("allowHostCode").ToBoolean();
  return Task::start(env, "trtorch.loadEngine", info[3], info[1],
                     [path, data, size, device, allowHostCode](Task& task) -> Task::MakeValue {
                       LogSink sink(Severity::kWARNING, emitLines(task));
                       try {
                         auto engine =
                             std::make_shared<Engine>(Library::open(path), device, data, size, allowHostCode);
                         return [engine, size](Napi::Env env) -> Napi::Value {
                           Napi::Object result = Napi::Object::New(env);
                           result.Set("handle", makeHandle(env, engine, static_cast<int64_t>(size)));
                           result.Set("device", engine->deviceName());
                           result.Set("tensors", fromTensors(env, engine->tensors()));
                           return result;
                         };
                       } catch (Failure& failure) {
                         failure.log = sink.errors();
                         throw;
                       }
                     })
      .Get("promise");
}

Napi::Value executeEngine(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Handle& handle = handleOf(info[0]);
  if (handle.engine == nullptr) throw Failure("usage", "the engine has been disposed of").toError(env);
  try {
    auto* worker = new ExecuteWorker(env, handle.engine, info[1].As<Napi::Array>(), info[2].As<Napi::Object>());
    worker->Queue();
    return worker->promise();
  } catch (const Failure& failure) {
    throw failure.toError(env);
  }
}

Napi::Value disposeEngine(const Napi::CallbackInfo& info) {
  handleOf(info[0]).engine.reset();
  return info.Env().Undefined();
}

}  // namespace trtorch
