#include "running_work.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

namespace trtorch {

namespace {

/** A step of a build, or an execution, that takes longer than this is not waited for. */
constexpr std::chrono::seconds kPATIENCE{60};

struct Registry {
  std::mutex mutex;
  std::condition_variable ended;
  std::set<std::atomic<bool>*> running;
  /** The main thread's environment, when the process exits. */
  std::atomic<napi_env> stopped{nullptr};
};

Registry& registry() {
  // Never destroyed: threads may outlive everything else.
  static Registry* const instance = new Registry();
  return *instance;
}

}  // namespace

RunningWork::RunningWork(std::atomic<bool>& cancelled) : cancelled_(cancelled) {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.running.insert(&cancelled_);
  // Its thread was made or waited in a queue while the others were told.
  if (all.stopped != nullptr) cancelled_ = true;
}

RunningWork::~RunningWork() {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.running.erase(&cancelled_);
  all.ended.notify_all();
}

void RunningWork::stopAll(Napi::Env main) {
  Registry& all = registry();
  std::unique_lock<std::mutex> lock(all.mutex);
  all.stopped = main;
  for (std::atomic<bool>* cancelled : all.running) *cancelled = true;
  all.ended.wait_for(lock, kPATIENCE, [&all] { return all.running.empty(); });
}

bool RunningWork::stopped(napi_env env) { return registry().stopped == env; }

}  // namespace trtorch
