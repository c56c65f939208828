#pragma once

#include <NvInferRuntime.h>

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace trtorch {

using Severity = nvinfer1::ILogger::Severity;

/**
 * Receives the library's log lines for one piece of work. Lines of the thread that made it go to it; lines of threads
 * that the library started itself go to every sink there is.
 */
class LogSink {
 public:
  using Listener = std::function<void(Severity, const char* line)>;

  /** `listener` gets lines of `level` and worse; it may be called on any thread. */
  LogSink(Severity level, Listener listener);
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  void log(Severity severity, const char* line);
  /** The last error lines, oldest first. */
  std::vector<std::string> errors() const;

 private:
  const Severity level_;
  const Listener listener_;
  mutable std::mutex mutex_;
  std::deque<std::string> errors_;
};

/**
 * The logger for all builders and runtimes of this process. One, because TensorRT keeps the first one it is given as a
 * global that outlives its builder.
 */
nvinfer1::ILogger& logger();

}  // namespace trtorch
