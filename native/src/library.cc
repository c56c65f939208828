#include "library.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "failure.h"

namespace trtorch {

namespace {

#ifdef TRTORCH_RTX
const std::string kPRODUCT = "TensorRT-RTX";
#else
const std::string kPRODUCT = "TensorRT";
#endif

/** Undoes NV_TENSORRT_VERSION_INT; releases before 10 counted thousands. */
Version decode(int32_t number) {
  if (number < 10000) return {number / 1000, number / 100 % 10, number % 100};
  return {number / 10000, number / 100 % 100, number % 100};
}

}  // namespace

bool Version::operator<(const Version& other) const {
  return std::tie(major, minor, patch) < std::tie(other.major, other.minor, other.patch);
}

std::string Version::toString() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

Library::Library(const std::string& path) : path_(path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Failure("missing-library", "cannot load " + path + ": " + dlerror());
  auto symbol = [&](const char* name) {
    void* address = dlsym(handle, name);
    if (address == nullptr) throw Failure("missing-library", path + " is no TensorRT library: it has no " + name);
    return address;
  };
  versionNumber_ = reinterpret_cast<int32_t (*)()>(symbol("getInferLibVersion"))();
  version_ = decode(versionNumber_);

  bool fits = version_.major == kHEADERS.major;
#ifdef TRTORCH_RTX
  // TensorRT-RTX's releases differ in their interfaces, also within a major release.
  fits = fits && version_.minor == kHEADERS.minor;
#endif
  if (!fits) {
    Failure failure("missing-library", path + " is release " + version_.toString() + ", and this addon was compiled for " +
                                           kPRODUCT + " " + kHEADERS.toString());
    failure.hint = "Run `trtorch-build setup` with the headers of that release (TENSORRT_ROOT), or name another library.";
    throw failure;
  }
  // A lean runtime runs version-compatible engines, and builds none.
  createInferBuilder_ = reinterpret_cast<void* (*)(void*, int32_t)>(dlsym(handle, "createInferBuilder_INTERNAL"));
  createInferRuntime_ = reinterpret_cast<void* (*)(void*, int32_t)>(symbol("createInferRuntime_INTERNAL"));
}

const Library& Library::open(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Library>> libraries;
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<Library>& library = libraries[path];
  if (library == nullptr) library.reset(new Library(path));
  return *library;
}

nvinfer1::IBuilder* Library::createBuilder(nvinfer1::ILogger& logger) const {
  if (createInferBuilder_ == nullptr) throw Failure("missing-library", path_ + " runs engines, and builds none");
  // The library's own number: it refuses any other, and the versions have been compared.
  return static_cast<nvinfer1::IBuilder*>(createInferBuilder_(&logger, versionNumber_));
}

nvinfer1::IRuntime* Library::createRuntime(nvinfer1::ILogger& logger) const {
  return static_cast<nvinfer1::IRuntime*>(createInferRuntime_(&logger, versionNumber_));
}

std::string Library::name() const { return kPRODUCT + " " + version_.toString(); }

}  // namespace trtorch
