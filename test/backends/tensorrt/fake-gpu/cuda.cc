// A libcuda.so.1 whose device memory is host memory: it lets the runtime be tested where there is no GPU. Its one device
// has as many bytes in use as there are things allocated and not freed.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define API extern "C" __attribute__((visibility("default"))) int

namespace {
constexpr size_t kTOTAL = 1 << 30;
std::atomic<int> alive{0};
template <typename T>
int make(T* handle) {
  alive++;
  *handle = reinterpret_cast<T>(std::malloc(1));
  return 0;
}
template <typename T>
int drop(T handle) {
  alive--;
  std::free(reinterpret_cast<void*>(handle));
  return 0;
}
int text(const char** out) {
  *out = "fake";
  return 0;
}
}  // namespace

API cuInit(unsigned) { return 0; }
API cuGetErrorName(int, const char** out) { return text(out); }
API cuGetErrorString(int, const char** out) { return text(out); }
API cuDeviceGetCount(int* count) { return *count = 1, 0; }
API cuDeviceGet(int* device, int) { return *device = 0, 0; }
API cuDeviceGetName(char* name, int, int) { return std::strcpy(name, "Fake GPU"), 0; }
API cuDeviceGetUuid(char* uuid, int) {
  for (int i = 0; i < 16; i++) uuid[i] = static_cast<char>(i);
  return 0;
}
API cuDeviceGetAttribute(int* value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, 0; }
API cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = kTOTAL, 0; }
API cuDevicePrimaryCtxRetain(void** context, int) { return make(context); }
API cuDevicePrimaryCtxRelease_v2(int) { return alive--, 0; }
API cuCtxPushCurrent_v2(void*) { return 0; }
API cuCtxPopCurrent_v2(void**) { return 0; }
API cuMemGetInfo_v2(size_t* available, size_t* total) {
  // The context that asks is not counted.
  *available = kTOTAL - (alive - 1);
  return *total = kTOTAL, 0;
}
API cuMemAlloc_v2(uint64_t* pointer, size_t bytes) {
  alive++;
  return *pointer = reinterpret_cast<uint64_t>(std::malloc(bytes)), 0;
}
API cuMemFree_v2(uint64_t pointer) { return drop(pointer); }
API cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
  alive++;
  return *pointer = std::malloc(bytes), 0;
}
API cuMemFreeHost(void* pointer) { return drop(pointer); }
API cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
  return std::memcpy(reinterpret_cast<void*>(to), from, bytes), 0;
}
API cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
  return std::memcpy(to, reinterpret_cast<void*>(from), bytes), 0;
}
API cuStreamCreate(void** stream, unsigned) { return make(stream); }
API cuStreamDestroy_v2(void* stream) { return drop(stream); }
API cuStreamSynchronize(void*) { return 0; }
API cuStreamBeginCapture_v2(void*, int) { return 0; }
API cuStreamEndCapture(void*, void** graph) { return make(graph); }
API cuGraphInstantiateWithFlags(void** executable, void*, unsigned long long) { return make(executable); }
API cuGraphLaunch(void*, void*) { return 0; }
API cuGraphExecDestroy(void* executable) { return drop(executable); }
API cuGraphDestroy(void* graph) { return drop(graph); }
API cuEventCreate(void** event, unsigned) { return make(event); }
API cuEventRecord(void*, void*) { return 0; }
API cuEventElapsedTime(float* milliseconds, void*, void*) { return *milliseconds = 0.25f, 0; }
API cuEventDestroy_v2(void* event) { return drop(event); }
