#pragma once

#include <napi.h>

namespace trtorch {

/**
 * `loadEngine(library, bytes, { device, allowHostCode }, onEvent): Promise<{ handle, device, tensors }>`. The handle
 * frees the engine when it is collected, or at once by `disposeEngine(handle)`.
 */
Napi::Value loadEngine(const Napi::CallbackInfo& info);

/**
 * `executeEngine(handle, inputs, { profile, warmup, iterations, graph }): Promise<{ outputs, times, usedGraph }>`;
 * `inputs` are `{ name, dims, data }` with the tensor's bytes, read until the promise settles.
 */
Napi::Value executeEngine(const Napi::CallbackInfo& info);

/** Frees the engine once what runs has ended. A handle that is used later rejects. */
Napi::Value disposeEngine(const Napi::CallbackInfo& info);

}  // namespace trtorch
