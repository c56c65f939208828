#include "running_work.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

namespace trtorch {

namespace {

/** A step of a build that takes longer than this is not waited for. */
constexpr std::chrono::seconds kPATIENCE{60};

struct Registry {
  std::mutex mutex;
  std::condition_variable ended;
  std::set<std::atomic<bool>*> running;
  std::atomic<bool> exiting{false};
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
}

RunningWork::~RunningWork() {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.running.erase(&cancelled_);
  all.ended.notify_all();
}

void RunningWork::stopAll() {
  Registry& all = registry();
  std::unique_lock<std::mutex> lock(all.mutex);
  all.exiting = true;
  for (std::atomic<bool>* cancelled : all.running) *cancelled = true;
  all.ended.wait_for(lock, kPATIENCE, [&all] { return all.running.empty(); });
}

bool RunningWork::exiting() { return registry().exiting; }

}  // namespace trtorch
