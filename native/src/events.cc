#include "events.h"

namespace trtorch {

namespace {

const char* levelName(Severity severity) {
  switch (severity) {
    case Severity::kINTERNAL_ERROR:
    case Severity::kERROR:
      return "error";
    case Severity::kWARNING:
      return "warning";
    case Severity::kINFO:
      return "info";
    default:
      return "debug";
  }
}

}  // namespace

LogSink::Listener emitLines(Task& task) {
  return [&task](Severity severity, const char* line) {
    task.emit([level = levelName(severity), line = std::string(line)](Napi::Env env) -> Napi::Value {
      Napi::Object event = Napi::Object::New(env);
      event.Set("type", "log");
      event.Set("level", level);
      event.Set("line", line);
      return event;
    });
  };
}

}  // namespace trtorch
