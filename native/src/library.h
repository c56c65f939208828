#pragma once

#include <NvInfer.h>

#include <string>

namespace trtorch {

/** A TensorRT release as the library counts it: TensorRT 10.6.1 is 10, 6, 1; TensorRT-RTX 1.7.1 is 1, 7, 1. */
struct Version {
  int major, minor, patch;

  bool operator<(const Version& other) const;
  std::string toString() const;
};

/** The release whose headers this addon was compiled with. */
constexpr Version kHEADERS{NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH};

/**
 * A TensorRT library, loaded at run time. Entry points are the ones that NvInfer.h declares; the objects they return
 * have the vtables of the headers this addon was compiled with, so the versions are compared before anything else.
 */
class Library {
 public:
  /** Loads a library once a process; it stays loaded. Throws Failure("missing-library"). */
  static const Library& open(const std::string& path);

  /**
   * Null where the library cannot start, as the full TensorRT without a GPU; it has logged why. Throws
   * Failure("missing-library") where it only runs engines.
   */
  nvinfer1::IBuilder* createBuilder(nvinfer1::ILogger& logger) const;
  nvinfer1::IRuntime* createRuntime(nvinfer1::ILogger& logger) const;

  /** Is the library at least this release? Its older releases lack the interfaces' last methods. */
  bool has(const Version& release) const { return !(version_ < release); }

  const Version& version() const { return version_; }
  const std::string& path() const { return path_; }
  /** "TensorRT 10.6.0", "TensorRT-RTX 1.7.1". */
  std::string name() const;

 private:
  explicit Library(const std::string& path);

  std::string path_;
  Version version_{};
  int32_t versionNumber_ = 0;
  void* (*createInferBuilder_)(void*, int32_t) = nullptr;
  void* (*createInferRuntime_)(void*, int32_t) = nullptr;
};

}  // namespace trtorch
