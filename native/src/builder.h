#pragma once

#include <napi.h>

namespace trtorch {

/**
 * `build(library, program, options, onEvent): { promise, cancel }`: replays the program into a strongly typed network
 * and builds its engine on a thread of its own. The promise gives `{ engine, timingCache }`.
 */
Napi::Value build(const Napi::CallbackInfo& info);

/** `describe(library, program, options, onEvent)`: the dims and type that the library infers for each tensor. */
Napi::Value describe(const Napi::CallbackInfo& info);

/** `combineTimingCaches(library, kept, added): Promise<Buffer>`: rejects where one does not fit the library and GPU. */
Napi::Value combineTimingCaches(const Napi::CallbackInfo& info);

}  // namespace trtorch
