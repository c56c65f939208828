#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

namespace trtorch {

/**
 * Work on a thread of its own, with a promise for its result and events on the way. A thread rather than libuv's pool:
 * a build takes minutes, and the pool's four threads also serve the file system.
 *
 * No JS is touched off the main thread: what becomes a JS value is a function that runs on the main thread.
 */
class Task {
 public:
  using MakeValue = std::function<Napi::Value(Napi::Env)>;
  using MakeEvent = std::function<Napi::Value(Napi::Env)>;
  using Work = std::function<MakeValue(Task&)>;

  /**
   * Starts `work`; gives `{ promise, cancel }`. `onEvent` is called with each event, in order, before the promise
   * settles. `keep` is referenced until then: memory that the work reads belongs to it. `work` may throw Failure.
   */
  static Napi::Object start(Napi::Env env, const char* name, Napi::Value onEvent, Napi::Value keep, Work work);

  void emit(MakeEvent event);
  bool cancelled() const { return cancelled_; }

 private:
  Task(Napi::Env env, Napi::Value keep);
  void run();
  void settle(Napi::Env env, const MakeValue& make, const std::exception_ptr& failure);

  const napi_env env_;
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference keep_;
  Napi::ThreadSafeFunction toMain_;
  Napi::Env::CleanupHook<void (*)(Task*), Task> atExit_;
  Work work_;
  std::thread thread_;
  std::atomic<bool> cancelled_{false};
  /** Shared with the JS `cancel` function, which may outlive the task. */
  std::shared_ptr<Task*> handle_;
};

}  // namespace trtorch
