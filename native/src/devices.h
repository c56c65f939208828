#pragma once

#include <napi.h>

namespace trtorch {

/** `listDevices(): Promise<Device[]>`: the GPUs that CUDA shows this process; rejects where there is no driver. */
Napi::Value listDevices(const Napi::CallbackInfo& info);

}  // namespace trtorch
