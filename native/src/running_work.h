#pragma once

#include <napi.h>

#include <atomic>

namespace trtorch {

/**
 * Marks a thread's work in a library, for the scope. `process.exit()` runs the destructors of all loaded libraries while
 * other threads go on: work in progress is told to stop, and ends before they run.
 */
class RunningWork {
 public:
  /** `cancelled` becomes true when the process exits; where it is exiting already, at once. */
  explicit RunningWork(std::atomic<bool>& cancelled);
  ~RunningWork();
  RunningWork(const RunningWork&) = delete;
  RunningWork& operator=(const RunningWork&) = delete;

  /**
   * Tells all work of the process to stop and waits for it: to be called by the main thread's JS when it hears of the
   * exit. A handler of atexit() would come too late, after the destructors of what a library made while it worked.
   */
  static void stopAll(Napi::Env main);
  /** Has the exit stopped this environment? None of its JS can be reached then; a Worker's still can. */
  static bool stopped(napi_env env);

 private:
  std::atomic<bool>& cancelled_;
};

}  // namespace trtorch
