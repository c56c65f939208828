#include <napi.h>

#include "builder.h"
#include "library.h"
#include "running_work.h"
#include "runtime.h"
#include "task.h"

namespace {

/** `libraryVersion(path): Promise<string>`: loads a library and gives its version, where it fits this addon. */
Napi::Value libraryVersion(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>();
  return trtorch::Task::start(env, "trtorch.libraryVersion", env.Undefined(), env.Undefined(),
                              [path](trtorch::Task&) -> trtorch::Task::MakeValue {
                                std::string version = trtorch::Library::open(path).version().toString();
                                return [version](Napi::Env env) -> Napi::Value { return Napi::String::New(env, version); };
                              })
      .Get("promise");
}

void stop(const Napi::CallbackInfo& info) { trtorch::RunningWork::stopAll(info.Env()); }

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("flavour", TRTORCH_FLAVOUR);
  exports.Set("headersVersion", trtorch::kHEADERS.toString());
  exports.Set("libraryVersion", Napi::Function::New(env, libraryVersion));
  exports.Set("build", Napi::Function::New(env, trtorch::build));
  exports.Set("describe", Napi::Function::New(env, trtorch::describe));
  exports.Set("combineTimingCaches", Napi::Function::New(env, trtorch::combineTimingCaches));
  exports.Set("loadEngine", Napi::Function::New(env, trtorch::loadEngine));
  exports.Set("executeEngine", Napi::Function::New(env, trtorch::executeEngine));
  exports.Set("disposeEngine", Napi::Function::New(env, trtorch::disposeEngine));
  exports.Set("stop", Napi::Function::New(env, stop));
  return exports;
}

}  // namespace

NODE_API_MODULE(trtorch_tensorrt, init)
