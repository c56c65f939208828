#pragma once

#include <napi.h>

namespace trtorch {

/** `mapFile(path): ArrayBuffer`: the file's bytes as a read-only map, unmapped when the buffer is collected. */
Napi::Value mapFile(const Napi::CallbackInfo& info);

}  // namespace trtorch
