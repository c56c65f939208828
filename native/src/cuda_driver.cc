#include "cuda_driver.h"

#include <dlfcn.h>

#include <cstdio>

#include "failure.h"

namespace trtorch {

namespace {

const char* const kNO_GPU_HINT =
    "Running engines, and building them with the full TensorRT, needs an NVIDIA GPU with its driver (in a container: "
    "start it with --gpus all).";

// CUdevice_attribute.
constexpr int kCOMPUTE_CAPABILITY_MAJOR = 75;
constexpr int kCOMPUTE_CAPABILITY_MINOR = 76;

}  // namespace

CudaDriver::CudaDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    Failure failure("missing-library", "no CUDA driver on this machine: libcuda.so.1 was not found");
    failure.hint = kNO_GPU_HINT;
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
  try {
    check(init(0), "start");
  } catch (Failure& failure) {
    failure.code = "missing-library";
    failure.hint = kNO_GPU_HINT;
    throw;
  }
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

std::string CudaDriver::nameOf(CUdevice device) const {
  char name[256] = "";
  check(deviceGetName(name, sizeof name, device), "read the device's name");
  return name;
}

std::string CudaDriver::uuidOf(CUdevice device) const {
  CUuuid uuid;
  check(deviceGetUuid(&uuid, device), "read the device's UUID");
  std::string text = "GPU-";
  for (int i = 0; i < 16; i++) {
    char digits[3];
    snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    text += digits;
    if (i == 3 || i == 5 || i == 7 || i == 9) text += '-';
  }
  return text;
}

void CudaDriver::computeCapabilityOf(CUdevice device, int& major, int& minor) const {
  check(deviceGetAttribute(&major, kCOMPUTE_CAPABILITY_MAJOR, device), "read the compute capability");
  check(deviceGetAttribute(&minor, kCOMPUTE_CAPABILITY_MINOR, device), "read the compute capability");
}

std::string CudaDriver::describe(CUdevice device) const {
  int major;
  int minor;
  computeCapabilityOf(device, major, minor);
  return nameOf(device) + " (sm_" + std::to_string(major) + std::to_string(minor) + ")";
}

CUdevice CudaDriver::findDevice(const std::string& wanted) const {
  int count = 0;
  check(deviceGetCount(&count), "count the devices");
  for (int ordinal = 0; ordinal < count; ordinal++) {
    CUdevice device;
    check(deviceGet(&device, ordinal), "open the device");
    if (wanted == std::to_string(ordinal) || wanted == uuidOf(device)) return device;
  }
  Failure failure("missing-library", "there is no GPU '" + wanted + "': CUDA shows this process " + std::to_string(count));
  failure.hint = "CUDA_VISIBLE_DEVICES decides which GPUs a process sees.";
  throw failure;
}

ContextScope::ContextScope(const CudaDriver& driver, CUcontext context) : driver_(driver) {
  driver_.check(driver_.ctxPush(context), "use the device's context");
}

ContextScope::~ContextScope() {
  CUcontext popped;
  driver_.ctxPop(&popped);
}

}  // namespace trtorch
