#pragma once

#include <NvInfer.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "library.h"
#include "program.h"

namespace trtorch {

/** Puts a program into an INetworkDefinition, layer by layer. Throws Failure with the layer's name. */
class Replay {
 public:
  Replay(const Library& library, nvinfer1::INetworkDefinition& network) : library(library), network(network) {}

  void run(const Program& program);

  /** The library's tensors for those of the program. */
  const std::unordered_map<int, nvinfer1::ITensor*>& tensors() const { return tensors_; }

  // For the functions of layers.cc.
  const Library& library;
  nvinfer1::INetworkDefinition& network;
  std::unordered_map<int, nvinfer1::ILoop*> loops;
  std::unordered_map<int, nvinfer1::IIfConditional*> conditionals;

  nvinfer1::ITensor& input(const Layer& layer, size_t index) const;
  /** nullptr where the input is absent. */
  nvinfer1::ITensor* optionalInput(const Layer& layer, size_t index) const;
  std::vector<nvinfer1::ITensor*> allInputs(const Layer& layer) const;

 private:
  void addLayer(const Layer& layer);
  void define(int id, nvinfer1::ITensor* tensor, const Layer& layer);

  std::unordered_map<int, nvinfer1::ITensor*> tensors_;
  /** Values for a loop's next iteration exist only after its body. */
  std::vector<std::pair<nvinfer1::ILayer*, const Layer*>> recurrences_;
};

/** The outputs of the layer that was added, and the layer where later inputs are set on it. */
struct Added {
  std::vector<nvinfer1::ITensor*> outputs;
  nvinfer1::ILayer* recurrence = nullptr;
};

/** Adds one layer with TensorRT's setters. Throws Failure for a type that is unknown or that the library lacks. */
Added addToNetwork(Replay& replay, const Layer& layer);

}  // namespace trtorch
