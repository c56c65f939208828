// Stands in for Torch-TensorRT's runtime where there is no GPU: registers the class and the operator that wrapped modules
// name. The "plan" of a stub engine is a TorchScript archive, which execute_engine runs.
//
// The state is checked as the real runtime checks it: number of fields by ABI, device string, base64 that stops at the first
// character outside its alphabet, platform.
#include <torch/custom_class.h>
#include <torch/script.h>

#include <sstream>
#include <string>
#include <vector>

namespace {

std::string decode(const std::string& text) {
  static const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned buffer = 0;
  int bits = 0;
  for (char c : text) {
    const auto digit = alphabet.find(c);
    if (digit == std::string::npos) break;
    buffer = (buffer << 6) | static_cast<unsigned>(digit);
    bits += 6;
    if (bits >= 8) bytes.push_back(static_cast<char>((buffer >> (bits -= 8)) & 0xff));
  }
  return bytes;
}

std::vector<std::string> split(const std::string& text, char delimiter) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, delimiter);) parts.push_back(part);
  return parts;
}

size_t fields_of(const std::string& abi) {
  static const std::vector<size_t> fields = {4, 6, 7, 9, 10, 11, 12, 13};  // ABI 3 to 10
  const auto index = std::stoi(abi) - 3;
  TORCH_CHECK(index >= 0 && index < static_cast<int>(fields.size()), "unknown ABI ", abi);
  return fields[index];
}

void collect(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) tensors.push_back(value.toTensor());
  else if (value.isTuple()) for (const auto& element : value.toTupleRef().elements()) collect(element, tensors);
  else if (value.isList()) for (const c10::IValue& element : value.toListRef()) collect(element, tensors);
  else if (value.isGenericDict()) for (const auto& entry : value.toGenericDict()) collect(entry.value(), tensors);
}

struct Engine : torch::CustomClassHolder {
  std::vector<std::string> state;
  torch::jit::Module module;

  explicit Engine(std::vector<std::string> serialized) : state(std::move(serialized)) {
    TORCH_CHECK(!state.empty() && state.size() == fields_of(state[0]),
                "Program to be deserialized targets an incompatible ABI: ", state.size(), " fields");
    TORCH_CHECK(split(state[2], '%').size() == 5, "bad device string ", state[2]);
    if (state.size() > 8) TORCH_CHECK(state[8] == "linux_x86_64", "platform ", state[8]);
    for (size_t i = 9; i < std::min<size_t>(state.size(), 12); ++i) (void)std::stoi(state[i]);
    std::istringstream plan(state[0] == "3" ? state[3] : decode(state[3]));
    module = torch::jit::load(plan, c10::Device("cpu"));
  }
};

std::vector<at::Tensor> execute_engine(std::vector<at::Tensor> inputs, c10::intrusive_ptr<Engine> engine) {
  if (engine->state.size() > 4) {
    TORCH_CHECK(split(engine->state[4], '%').size() == inputs.size(), "expected inputs ", engine->state[4]);
  }
  std::vector<c10::IValue> arguments(inputs.begin(), inputs.end());
  c10::IValue result = engine->module.forward(std::move(arguments));
  std::vector<at::Tensor> outputs;
  collect(result, outputs);
  if (engine->state.size() > 5) {
    TORCH_CHECK(split(engine->state[5], '%').size() == outputs.size(), "expected outputs ", engine->state[5]);
  }
  return outputs;
}

TORCH_LIBRARY(tensorrt, m) {
  m.class_<Engine>("Engine")
      .def(torch::init<std::vector<std::string>>())
      .def("state", [](const c10::intrusive_ptr<Engine>& self) { return self->state; })
      .def_pickle([](const c10::intrusive_ptr<Engine>& self) { return self->state; },
                  [](std::vector<std::string> state) { return c10::make_intrusive<Engine>(std::move(state)); });
  m.def("execute_engine", &execute_engine);
}

}  // namespace
