#pragma once

#include <atomic>

namespace trtorch {

/**
 * Marks a thread's work in a library, for the scope. `process.exit()` runs the destructors of all loaded libraries while
 * other threads go on: work in progress is told to stop, and ends before they run.
 */
class RunningWork {
 public:
  /** `cancelled` becomes true when the process exits. */
  explicit RunningWork(std::atomic<bool>& cancelled);
  ~RunningWork();
  RunningWork(const RunningWork&) = delete;
  RunningWork& operator=(const RunningWork&) = delete;

  /**
   * Tells all work to stop and waits for it: to be called when JS hears of the exit. A handler of atexit() would come
   * too late, after the destructors of what a library made while it worked.
   */
  static void stopAll();
  /** No JS can be reached any more. */
  static bool exiting();

 private:
  std::atomic<bool>& cancelled_;
};

}  // namespace trtorch
