#include <napi.h>

#include "devices.h"
#include "mapped_file.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("mapFile", Napi::Function::New(env, trtorch::mapFile));
  exports.Set("listDevices", Napi::Function::New(env, trtorch::listDevices));
  return exports;
}

NODE_API_MODULE(trtorch_core, init)
