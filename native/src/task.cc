#include "task.h"

#include <chrono>

#include "failure.h"
#include "running_work.h"

namespace trtorch {

Task::Task(Napi::Env env, Napi::Value keep)
    : env_(env), deferred_(Napi::Promise::Deferred::New(env)), handle_(std::make_shared<Task*>(this)) {
  Napi::Object holder = Napi::Object::New(env);
  holder.Set("keep", keep);
  keep_ = Napi::Persistent(holder);
}

Napi::Object Task::start(Napi::Env env, const char* name, Napi::Value onEvent, Napi::Value keep, Work work) {
  Task* task = new Task(env, keep);
  task->work_ = std::move(work);
  Napi::Function callback =
      onEvent.IsFunction() ? onEvent.As<Napi::Function>() : Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  task->toMain_ = Napi::ThreadSafeFunction::New(env, callback, name, 0, 1, [task](Napi::Env) {
    task->thread_.join();
    *task->handle_ = nullptr;
    delete task;
  });
  // When a Worker ends during the work: the function above, which waits for the thread, is called soon after.
  task->atExit_ = env.AddCleanupHook(+[](Task* running) { running->cancelled_ = true; }, task);

  Napi::Object result = Napi::Object::New(env);
  result.Set("promise", task->deferred_.Promise());
  result.Set("cancel", Napi::Function::New(env, [handle = task->handle_](const Napi::CallbackInfo&) {
               if (*handle != nullptr) (*handle)->cancelled_ = true;
             }));
  task->thread_ = std::thread([task] { task->run(); });
  return result;
}

void Task::emit(MakeEvent event) {
  if (RunningWork::stopped(env_)) return;
  auto* boxed = new MakeEvent(std::move(event));
  auto deliver = [](Napi::Env env, Napi::Function callback, MakeEvent* boxed) {
    const std::unique_ptr<MakeEvent> made(boxed);
    callback.Call({(*made)(env)});
  };
  if (toMain_.NonBlockingCall(boxed, deliver) != napi_ok) delete boxed;
}

void Task::run() {
  MakeValue make;
  std::exception_ptr failure;
  {
    const RunningWork running(cancelled_);
    try {
      if (cancelled_) throw Failure("cancelled", "the work was cancelled before it began");
      make = work_(*this);
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (RunningWork::stopped(env_)) {
    // Ending this thread would run the library's thread-local destructors beside its static ones.
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  // Released here: what the work captured may be large.
  work_ = nullptr;
  auto finish = [this, make = std::move(make), failure](Napi::Env env, Napi::Function) { settle(env, make, failure); };
  toMain_.BlockingCall(finish);
  toMain_.Release();
}

void Task::settle(Napi::Env env, const MakeValue& make, const std::exception_ptr& failure) {
  atExit_.Remove(env);
  *handle_ = nullptr;
  keep_.Reset();
  try {
    if (failure) std::rethrow_exception(failure);
    deferred_.Resolve(make(env));
  } catch (const Failure& known) {
    deferred_.Reject(known.toError(env).Value());
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  } catch (const std::exception& error) {
    deferred_.Reject(Failure("internal", error.what()).toError(env).Value());
  }
}

}  // namespace trtorch
