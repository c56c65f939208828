#include "cuda_driver.h"

#include <dlfcn.h>

#include "failure.h"

namespace trtorch {

CudaDriver::CudaDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    Failure failure("missing-library", "no CUDA driver on this machine: libcuda.so.1 was not found");
    failure.hint =
        "Running engines, and building them with the full TensorRT, needs an NVIDIA GPU with its driver (in a container: "
        "start it with --gpus all).";
    throw failure;
  }
#define TRTORCH_LOAD(name, symbol, arguments)                                                        \
  name = reinterpret_cast<CUresult(*) arguments>(dlsym(library, symbol));                            \
  if (name == nullptr) {                                                                             \
    Failure failure("missing-library", "the CUDA driver is too old: it has no " symbol);             \
    failure.hint = "Install a driver of release 525 or newer.";                                      \
    throw failure;                                                                                   \
  }
  TRTORCH_CUDA_FUNCTIONS(TRTORCH_LOAD)
#undef TRTORCH_LOAD
  check(init(0), "start");
}

const CudaDriver& CudaDriver::get() {
  // Where this throws, the next call tries again.
  static const CudaDriver driver;
  return driver;
}

void CudaDriver::check(CUresult result, const std::string& what) const {
  if (result == 0) return;
  const char* name = nullptr;
  const char* text = nullptr;
  getErrorName(result, &name);
  getErrorString(result, &text);
  throw Failure("library", "CUDA could not " + what + ": " + (text != nullptr ? text : "unknown error") + " (" +
                               (name != nullptr ? name : std::to_string(result)) + ")");
}

ContextScope::ContextScope(const CudaDriver& driver, CUcontext context) : driver_(driver) {
  driver_.check(driver_.ctxPush(context), "use the device's context");
}

ContextScope::~ContextScope() {
  CUcontext popped;
  driver_.ctxPop(&popped);
}

}  // namespace trtorch
