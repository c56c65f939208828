#include "failure.h"

namespace trtorch {

Napi::Error Failure::toError(Napi::Env env) const {
  Napi::Error error = Napi::Error::New(env, what());
  error.Set("code", Napi::String::New(env, code));
  if (!layer.empty()) error.Set("layer", Napi::String::New(env, layer));
  if (!hint.empty()) error.Set("hint", Napi::String::New(env, hint));
  Napi::Array lines = Napi::Array::New(env, log.size());
  for (size_t i = 0; i < log.size(); i++) lines.Set(static_cast<uint32_t>(i), Napi::String::New(env, log[i]));
  error.Set("log", lines);
  return error;
}

}  // namespace trtorch
