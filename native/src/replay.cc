#include "replay.h"

#include "failure.h"

namespace trtorch {

using nvinfer1::ITensor;

void Replay::run(const Program& program) {
  for (const ProgramInput& input : program.inputs) {
    ITensor* tensor = network.addInput(input.name.c_str(), input.type, input.dims);
    if (tensor == nullptr) throw Failure("library", "TensorRT refused the input '" + input.name + "'", input.name);
    tensors_[input.tensor] = tensor;
  }
  for (const Layer& layer : program.layers) addLayer(layer);
  for (const auto& [recurrence, layer] : recurrences_) recurrence->setInput(1, input(*layer, 1));
  for (const ProgramOutput& output : program.outputs) {
    const auto found = tensors_.find(output.tensor);
    if (found == tensors_.end()) throw Failure("internal", "no layer makes the output '" + output.name + "'");
    found->second->setName(output.name.c_str());
    network.markOutput(*found->second);
  }
}

void Replay::addLayer(const Layer& layer) {
  const Added added = addToNetwork(*this, layer);
  if (added.outputs.size() < layer.outputs.size()) {
    throw Failure("internal", "layer '" + layer.name + "' (" + layer.type + ") has " +
                                  std::to_string(added.outputs.size()) + " outputs, not " +
                                  std::to_string(layer.outputs.size()), layer.name);
  }
  for (size_t i = 0; i < layer.outputs.size(); i++) define(layer.outputs[i], added.outputs[i], layer);
  if (added.recurrence != nullptr) recurrences_.emplace_back(added.recurrence, &layer);
}

void Replay::define(int id, ITensor* tensor, const Layer& layer) {
  if (tensor == nullptr) throw Failure("library", "layer '" + layer.name + "' gave no output", layer.name);
  tensors_[id] = tensor;
}

ITensor* Replay::optionalInput(const Layer& layer, size_t index) const {
  if (index >= layer.inputs.size() || layer.inputs[index] < 0) return nullptr;
  const auto found = tensors_.find(layer.inputs[index]);
  if (found == tensors_.end()) {
    throw Failure("internal", "input " + std::to_string(index) + " of layer '" + layer.name +
                                  "' is made by no layer before it", layer.name);
  }
  return found->second;
}

ITensor& Replay::input(const Layer& layer, size_t index) const {
  ITensor* tensor = optionalInput(layer, index);
  if (tensor == nullptr) {
    throw Failure("internal", "input " + std::to_string(index) + " of layer '" + layer.name + "' is missing", layer.name);
  }
  return *tensor;
}

std::vector<ITensor*> Replay::allInputs(const Layer& layer) const {
  std::vector<ITensor*> all;
  for (size_t i = 0; i < layer.inputs.size(); i++) all.push_back(&input(layer, i));
  return all;
}

}  // namespace trtorch
