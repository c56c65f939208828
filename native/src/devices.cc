#include "devices.h"

#include <dlfcn.h>

#include <fstream>
#include <string>
#include <vector>

#include "cuda_driver.h"
#include "task.h"

namespace trtorch {

namespace {

struct Device {
  std::string uuid, name;
  int major = 0, minor = 0;
  size_t totalMemory = 0, freeMemory = 0;
};

/** NVML tells free memory without a context, which would itself take hundreds of megabytes on every GPU. */
class Nvml {
 public:
  Nvml() {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    auto load = [library](auto& function, const char* symbol) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
      return function != nullptr;
    };
    int (*init)();
    ready_ = load(init, "nvmlInit_v2") && load(byUuid_, "nvmlDeviceGetHandleByUUID") &&
             load(memory_, "nvmlDeviceGetMemoryInfo") && load(driver_, "nvmlSystemGetDriverVersion") && init() == 0;
  }

  bool freeMemory(const std::string& uuid, size_t& bytes) const {
    void* device;
    Memory memory;
    if (!ready_ || byUuid_(uuid.c_str(), &device) != 0 || memory_(device, &memory) != 0) return false;
    bytes = memory.available;
    return true;
  }

  std::string driverVersion() const {
    char text[96] = "";
    return ready_ && driver_(text, sizeof text) == 0 ? text : "";
  }

 private:
  struct Memory {
    unsigned long long total, available, used;
  };
  bool ready_ = false;
  int (*byUuid_)(const char*, void**) = nullptr;
  int (*memory_)(void*, Memory*) = nullptr;
  int (*driver_)(char*, unsigned) = nullptr;
};

size_t freeMemoryInContext(const CudaDriver& cuda, CUdevice device) {
  CUcontext context;
  cuda.check(cuda.primaryRetain(&context, device), "open the device");
  size_t available = 0;
  size_t total = 0;
  {
    ContextScope scope(cuda, context);
    cuda.memGetInfo(&available, &total);
  }
  cuda.primaryRelease(device);
  return available;
}

std::string kernelModuleVersion() {
  std::string version;
  std::ifstream("/sys/module/nvidia/version") >> version;
  return version;
}

}  // namespace

Napi::Value listDevices(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return Task::start(env, "trtorch.listDevices", env.Undefined(), env.Undefined(), [](Task&) -> Task::MakeValue {
           const CudaDriver& cuda = CudaDriver::get();
           const Nvml nvml;
           int count = 0;
           cuda.check(cuda.deviceGetCount(&count), "count the devices");
           std::vector<Device> devices;
           for (int ordinal = 0; ordinal < count; ordinal++) {
             Device found;
             CUdevice device;
             cuda.check(cuda.deviceGet(&device, ordinal), "open the device");
             cuda.check(cuda.deviceTotalMem(&found.totalMemory, device), "read the device's memory size");
             found.uuid = cuda.uuidOf(device);
             found.name = cuda.nameOf(device);
             cuda.computeCapabilityOf(device, found.major, found.minor);
             if (!nvml.freeMemory(found.uuid, found.freeMemory)) found.freeMemory = freeMemoryInContext(cuda, device);
             devices.push_back(found);
           }
           std::string driver = nvml.driverVersion();
           if (driver.empty()) driver = kernelModuleVersion();
           return [devices, driver](Napi::Env env) -> Napi::Value {
             Napi::Array list = Napi::Array::New(env, devices.size());
             for (uint32_t i = 0; i < devices.size(); i++) {
               const Device& from = devices[i];
               Napi::Object device = Napi::Object::New(env);
               device.Set("uuid", from.uuid);
               device.Set("name", from.name);
               device.Set("major", from.major);
               device.Set("minor", from.minor);
               device.Set("totalMemory", static_cast<double>(from.totalMemory));
               device.Set("freeMemory", static_cast<double>(from.freeMemory));
               device.Set("driver", driver);
               list.Set(i, device);
             }
             return list;
           };
         })
      .Get("promise");
}

}  // namespace trtorch
