#pragma once

#include "logger.h"
#include "task.h"

namespace trtorch {

/** Hands the library's log lines on as events `{ type: "log", level, line }` of a task, which must outlive the sink. */
LogSink::Listener emitLines(Task& task);

}  // namespace trtorch
