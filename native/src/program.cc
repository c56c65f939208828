#include "program.h"

#include "element_size.h"
#include "failure.h"

namespace trtorch {

namespace {

Napi::Value member(const Napi::Object& from, const char* name) {
  Napi::Value value = from.Get(name);
  if (value.IsUndefined()) throw Napi::TypeError::New(from.Env(), std::string("the program has no '") + name + "'");
  return value;
}

std::string text(const Napi::Object& from, const char* name) {
  Napi::Value value = member(from, name);
  if (!value.IsString()) throw Napi::TypeError::New(from.Env(), std::string("'") + name + "' is no string");
  return value.As<Napi::String>();
}

int integer(const Napi::Object& from, const char* name) {
  Napi::Value value = member(from, name);
  if (!value.IsNumber()) throw Napi::TypeError::New(from.Env(), std::string("'") + name + "' is no number");
  return value.As<Napi::Number>().Int32Value();
}

Napi::Array array(const Napi::Object& from, const char* name) {
  Napi::Value value = member(from, name);
  if (!value.IsArray()) throw Napi::TypeError::New(from.Env(), std::string("'") + name + "' is no array");
  return value.As<Napi::Array>();
}

Numbers readNumbers(const Napi::Array& from) {
  const uint32_t length = from.Length();
  Numbers numbers(length);
  for (uint32_t i = 0; i < length; i++) numbers[i] = from.Get(i).ToNumber().DoubleValue();
  return numbers;
}

std::vector<int> readIds(const Napi::Array& from) {
  const Numbers numbers = readNumbers(from);
  return {numbers.begin(), numbers.end()};
}

ConstantValues readConstant(const Napi::Object& from) {
  Napi::Env env = from.Env();
  const auto type = static_cast<nvinfer1::DataType>(integer(from, "type"));
  const nvinfer1::Dims dims = readDims(array(from, "dims"));
  Napi::Value values = member(from, "values");
  if (!values.IsTypedArray()) throw Napi::TypeError::New(env, "weights' 'values' is no Uint8Array");
  const Napi::Uint8Array bytes = values.As<Napi::Uint8Array>();
  const int64_t count = countOf(dims);
  if (static_cast<int64_t>(bytes.ByteLength()) != bytesOf(dims, type)) {
    throw Napi::RangeError::New(env, "weights of " + std::to_string(count) + " elements have " +
                                         std::to_string(bytes.ByteLength()) + " bytes");
  }
  return {{type, bytes.Data(), count}, dims};
}

Attribute readAttribute(const Napi::Value& value) {
  if (value.IsNumber()) return value.As<Napi::Number>().DoubleValue();
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  if (value.IsArray()) return readNumbers(value.As<Napi::Array>());
  if (value.IsObject()) return readConstant(value.As<Napi::Object>());
  return std::monostate{};
}

Layer readLayer(const Napi::Object& from) {
  Layer layer;
  layer.type = text(from, "type");
  layer.name = text(from, "name");
  layer.inputs = readIds(array(from, "inputs"));
  layer.outputs = readIds(array(from, "outputs"));
  const Napi::Object attributes = member(from, "attributes").As<Napi::Object>();
  const Napi::Array names = attributes.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); i++) {
    Napi::Value name = names.Get(i);
    layer.attributes.emplace_back(name.ToString().Utf8Value(), readAttribute(attributes.Get(name)));
  }
  return layer;
}

}  // namespace

nvinfer1::Dims toDims(const Numbers& numbers) {
  if (numbers.size() > static_cast<size_t>(nvinfer1::Dims::MAX_DIMS)) {
    throw Failure("unsupported", "TensorRT has tensors of at most " + std::to_string(nvinfer1::Dims::MAX_DIMS) +
                                     " dims, not " + std::to_string(numbers.size()));
  }
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(numbers.size());
  for (size_t i = 0; i < numbers.size(); i++) dims.d[i] = static_cast<int64_t>(numbers[i]);
  return dims;
}

nvinfer1::Dims readDims(const Napi::Array& from) { return toDims(readNumbers(from)); }

Range readRange(const Napi::Object& from) {
  return {readNumbers(array(from, "min")), readNumbers(array(from, "opt")), readNumbers(array(from, "max"))};
}

Program readProgram(const Napi::Object& from) {
  Program program;
  const Napi::Array inputs = array(from, "inputs");
  for (uint32_t i = 0; i < inputs.Length(); i++) {
    const Napi::Object input = inputs.Get(i).As<Napi::Object>();
    const Napi::Value values = member(input, "values");
    program.inputs.push_back({integer(input, "tensor"), text(input, "name"),
                              static_cast<nvinfer1::DataType>(integer(input, "type")),
                              readDims(array(input, "dims")),
                              readRange(member(input, "shape").As<Napi::Object>()),
                              values.IsNull() ? std::nullopt : std::optional(readRange(values.As<Napi::Object>()))});
  }
  const Napi::Array layers = array(from, "layers");
  program.layers.reserve(layers.Length());
  for (uint32_t i = 0; i < layers.Length(); i++) {
    // A scope a layer: a large network's handles would otherwise pile up.
    Napi::HandleScope scope(from.Env());
    program.layers.push_back(readLayer(layers.Get(i).As<Napi::Object>()));
  }
  const Napi::Array outputs = array(from, "outputs");
  for (uint32_t i = 0; i < outputs.Length(); i++) {
    const Napi::Object output = outputs.Get(i).As<Napi::Object>();
    program.outputs.push_back({integer(output, "tensor"), text(output, "name")});
  }
  return program;
}

const Attribute& Layer::get(const char* wanted) const {
  for (const auto& [key, value] : attributes) {
    if (key == wanted) return value;
  }
  throw Failure("internal", "layer '" + name + "' (" + type + ") has no attribute '" + wanted + "'", name);
}

template <typename T>
const T& Layer::as(const char* wanted) const {
  if (const T* value = std::get_if<T>(&get(wanted))) return *value;
  throw Failure("internal", "attribute '" + std::string(wanted) + "' of layer '" + name + "' has the wrong type", name);
}

bool Layer::flag(const char* wanted) const { return as<bool>(wanted); }
double Layer::number(const char* wanted) const { return as<double>(wanted); }
const std::string& Layer::text(const char* wanted) const { return as<std::string>(wanted); }
nvinfer1::Dims Layer::dims(const char* wanted) const { return toDims(as<Numbers>(wanted)); }
const ConstantValues& Layer::constant(const char* wanted) const { return as<ConstantValues>(wanted); }

uint32_t Layer::axes(const char* wanted) const {
  uint32_t mask = 0;
  for (double axis : as<Numbers>(wanted)) mask |= 1U << static_cast<int>(axis);
  return mask;
}

const Numbers* Layer::numbers(const char* wanted) const {
  return std::holds_alternative<std::monostate>(get(wanted)) ? nullptr : &as<Numbers>(wanted);
}

nvinfer1::Weights Layer::weights(const char* wanted, nvinfer1::DataType type) const {
  if (std::holds_alternative<std::monostate>(get(wanted))) return {type, nullptr, 0};
  return as<ConstantValues>(wanted).weights;
}

}  // namespace trtorch
