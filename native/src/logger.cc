#include "logger.h"

#include <algorithm>

namespace trtorch {

namespace {

constexpr size_t kKEPT_ERRORS = 8;

std::mutex sinksMutex;
std::vector<LogSink*> sinks;
thread_local LogSink* threadSink = nullptr;

class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* line) noexcept override {
    if (threadSink != nullptr) {
      threadSink->log(severity, line);
      return;
    }
    std::lock_guard<std::mutex> lock(sinksMutex);
    for (LogSink* sink : sinks) sink->log(severity, line);
  }
};

}  // namespace

LogSink::LogSink(Severity level, Listener listener) : level_(level), listener_(std::move(listener)) {
  std::lock_guard<std::mutex> lock(sinksMutex);
  sinks.push_back(this);
  threadSink = this;
}

LogSink::~LogSink() {
  std::lock_guard<std::mutex> lock(sinksMutex);
  sinks.erase(std::find(sinks.begin(), sinks.end(), this));
  threadSink = nullptr;
}

void LogSink::log(Severity severity, const char* line) {
  if (severity <= Severity::kERROR) {
    std::lock_guard<std::mutex> lock(mutex_);
    errors_.emplace_back(line);
    if (errors_.size() > kKEPT_ERRORS) errors_.pop_front();
  }
  if (severity <= level_) listener_(severity, line);
}

std::vector<std::string> LogSink::errors() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return {errors_.begin(), errors_.end()};
}

nvinfer1::ILogger& logger() {
  // Never destroyed: the library may log while the process exits.
  static Logger* const instance = new Logger();
  return *instance;
}

}  // namespace trtorch
