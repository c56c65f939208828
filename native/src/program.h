#pragma once

#include <NvInferRuntime.h>
#include <napi.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace trtorch {

/** Constant values. The memory belongs to the JS program, which is referenced while a task runs: nothing is copied. */
struct ConstantValues {
  nvinfer1::Weights weights;
  nvinfer1::Dims dims;
};

using Numbers = std::vector<double>;
using Attribute = std::variant<std::monostate, bool, double, std::string, Numbers, ConstantValues>;

/** A layer of the program; see src/network/program.ts. Accessors throw Failure("internal") for what is not there. */
struct Layer {
  std::string type;
  std::string name;
  /** Tensor ids; -1 where an optional input is absent. */
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::vector<std::pair<std::string, Attribute>> attributes;

  bool flag(const char* name) const;
  double number(const char* name) const;
  int integer(const char* name) const { return static_cast<int>(number(name)); }
  template <typename Enum>
  Enum choice(const char* name) const {
    return static_cast<Enum>(integer(name));
  }
  const std::string& text(const char* name) const;
  nvinfer1::Dims dims(const char* name) const;
  /** A bit an axis. */
  uint32_t axes(const char* name) const;
  /** Null attributes are nullptr. */
  const Numbers* numbers(const char* name) const;
  /** Null attributes are empty weights of `type`. */
  nvinfer1::Weights weights(const char* name, nvinfer1::DataType type) const;
  const ConstantValues& constant(const char* name) const;

 private:
  const Attribute& get(const char* name) const;
  template <typename T>
  const T& as(const char* name) const;
};

/** Smallest, best and largest, for one profile. */
struct Range {
  Numbers min, opt, max;
};

struct ProgramInput {
  int tensor;
  std::string name;
  nvinfer1::DataType type;
  nvinfer1::Dims dims;
  Range shape;
  /** For an input whose values are sizes: the values' range. */
  std::optional<Range> values;
};

struct ProgramOutput {
  int tensor;
  std::string name;
};

struct Program {
  std::vector<ProgramInput> inputs;
  std::vector<Layer> layers;
  std::vector<ProgramOutput> outputs;
};

/** Reads the JS object on the main thread. Throws a TypeError or RangeError for what no `toProgram` makes. */
Program readProgram(const Napi::Object& from);
Range readRange(const Napi::Object& from);
nvinfer1::Dims readDims(const Napi::Array& from);
/** Throws Failure("unsupported") for more dims than TensorRT has. */
nvinfer1::Dims toDims(const Numbers& numbers);

}  // namespace trtorch
