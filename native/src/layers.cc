#include <string_view>

#include "failure.h"
#include "replay.h"

/** One function a layer type. Names of attributes are those of src/network/layers.ts, which are TensorRT's setters'. */
namespace trtorch {

namespace {

using namespace nvinfer1;
using Outputs = std::vector<ITensor*>;

/** Names the layer that TensorRT added; throws where it refused. */
template <typename T>
T& named(const Layer& layer, T* added) {
  if (added == nullptr) {
    throw Failure("library", "TensorRT refused the layer '" + layer.name + "' (" + layer.type + ")", layer.name);
  }
  added->setName(layer.name.c_str());
  return *added;
}

Added outputsOf(const ILayer& added) {
  Added result;
  for (int32_t i = 0; i < added.getNbOutputs(); i++) result.outputs.push_back(added.getOutput(i));
  return result;
}

void needRelease(const Replay& replay, const Layer& layer, const Version& release) {
#ifdef TRTORCH_RTX
  (void)replay, (void)layer, (void)release;
#else
  if (replay.library.has(release)) return;
  Failure failure("unsupported", "layer '" + layer.name + "' (" + layer.type + ") needs TensorRT " +
                                     std::to_string(release.major) + "." + std::to_string(release.minor) +
                                     " or newer, and " + replay.library.path() + " is " + replay.library.version().toString(),
                  layer.name);
  failure.hint = "Use a newer TensorRT, or leave the operator to Torch (torch_executed_ops).";
  throw failure;
#endif
}

/** TensorRT gives indices of type int64 from 10.14 on; those of older libraries are int32, and are cast. */
bool hasIndicesType(const Replay& replay) {
#ifdef TRTORCH_RTX
  (void)replay;
  return true;
#else
  return replay.library.has({10, 14, 0});
#endif
}

ITensor* toInt64(Replay& replay, const Layer& layer, ITensor& indices) {
  ICastLayer* cast = replay.network.addCast(indices, DataType::kINT64);
  if (cast == nullptr) throw Failure("library", "TensorRT refused to cast the indices of '" + layer.name + "'", layer.name);
  cast->setName((layer.name + " indices").c_str());
  return cast->getOutput(0);
}

template <typename ConvolutionLayer>
Added finishConvolution(Replay& replay, const Layer& layer, ConvolutionLayer* added) {
  ConvolutionLayer& convolution = named(layer, added);
  convolution.setStrideNd(layer.dims("strideNd"));
  convolution.setPrePadding(layer.dims("prePadding"));
  convolution.setPostPadding(layer.dims("postPadding"));
  convolution.setDilationNd(layer.dims("dilationNd"));
  convolution.setNbGroups(layer.integer("nbGroups"));
  if (ITensor* kernel = replay.optionalInput(layer, 1)) convolution.setInput(1, *kernel);
  return outputsOf(convolution);
}

Added convolution(Replay& replay, const Layer& layer) {
  ITensor& data = replay.input(layer, 0);
  const DataType type = data.getType();
  return finishConvolution(replay, layer,
                           replay.network.addConvolutionNd(data, layer.integer("nbOutputMaps"), layer.dims("kernelSizeNd"),
                                                           layer.weights("kernel", type), layer.weights("bias", type)));
}

Added deconvolution(Replay& replay, const Layer& layer) {
  ITensor& data = replay.input(layer, 0);
  const DataType type = data.getType();
  return finishConvolution(replay, layer,
                           replay.network.addDeconvolutionNd(data, layer.integer("nbOutputMaps"), layer.dims("kernelSizeNd"),
                                                             layer.weights("kernel", type), layer.weights("bias", type)));
}

Added cast(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addCast(replay.input(layer, 0), layer.choice<DataType>("toType"))));
}

Added identity(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addIdentity(replay.input(layer, 0))));
}

Added activation(Replay& replay, const Layer& layer) {
  IActivationLayer& added = named(
      layer, replay.network.addActivation(replay.input(layer, 0), layer.choice<ActivationType>("activationType")));
  added.setAlpha(static_cast<float>(layer.number("alpha")));
  added.setBeta(static_cast<float>(layer.number("beta")));
  return outputsOf(added);
}

Added pooling(Replay& replay, const Layer& layer) {
  IPoolingLayer& added =
      named(layer, replay.network.addPoolingNd(replay.input(layer, 0), layer.choice<PoolingType>("poolingType"),
                                               layer.dims("windowSizeNd")));
  added.setStrideNd(layer.dims("strideNd"));
  added.setPrePadding(layer.dims("prePadding"));
  added.setPostPadding(layer.dims("postPadding"));
  added.setAverageCountExcludesPadding(layer.flag("averageCountExcludesPadding"));
  added.setPaddingMode(layer.flag("roundUp") ? PaddingMode::kEXPLICIT_ROUND_UP : PaddingMode::kEXPLICIT_ROUND_DOWN);
  return outputsOf(added);
}

Added softMax(Replay& replay, const Layer& layer) {
  ISoftMaxLayer& added = named(layer, replay.network.addSoftMax(replay.input(layer, 0)));
  added.setAxes(1U << layer.integer("axis"));
  return outputsOf(added);
}

Added concatenation(Replay& replay, const Layer& layer) {
  const std::vector<ITensor*> inputs = replay.allInputs(layer);
  IConcatenationLayer& added =
      named(layer, replay.network.addConcatenation(inputs.data(), static_cast<int32_t>(inputs.size())));
  added.setAxis(layer.integer("axis"));
  return outputsOf(added);
}

Added elementWise(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addElementWise(replay.input(layer, 0), replay.input(layer, 1),
                                                              layer.choice<ElementWiseOperation>("operation"))));
}

Added unary(Replay& replay, const Layer& layer) {
  return outputsOf(
      named(layer, replay.network.addUnary(replay.input(layer, 0), layer.choice<UnaryOperation>("operation"))));
}

Permutation permutation(const Numbers& order) {
  Permutation result{};
  for (size_t i = 0; i < order.size() && i < Dims::MAX_DIMS; i++) result.order[i] = static_cast<int32_t>(order[i]);
  return result;
}

Added shuffle(Replay& replay, const Layer& layer) {
  IShuffleLayer& added = named(layer, replay.network.addShuffle(replay.input(layer, 0)));
  if (const Numbers* order = layer.numbers("firstTranspose")) added.setFirstTranspose(permutation(*order));
  if (ITensor* dims = replay.optionalInput(layer, 1)) {
    added.setInput(1, *dims);
  } else if (const Numbers* reshape = layer.numbers("reshapeDimensions")) {
    added.setReshapeDimensions(toDims(*reshape));
  }
  added.setZeroIsPlaceholder(layer.flag("zeroIsPlaceholder"));
  if (const Numbers* order = layer.numbers("secondTranspose")) added.setSecondTranspose(permutation(*order));
  return outputsOf(added);
}

Added reduce(Replay& replay, const Layer& layer) {
  return outputsOf(
      named(layer, replay.network.addReduce(replay.input(layer, 0), layer.choice<ReduceOperation>("operation"),
                                            layer.axes("axes"), layer.flag("keepDimensions"))));
}

Added topK(Replay& replay, const Layer& layer) {
  ITensor& data = replay.input(layer, 0);
  const auto operation = layer.choice<TopKOperation>("operation");
  const uint32_t axes = 1U << layer.integer("axis");
  ITensor* kTensor = replay.optionalInput(layer, 1);
  // A k that is a tensor replaces this one.
  const int32_t k = kTensor != nullptr ? 1 : layer.integer("k");
  const bool direct = hasIndicesType(replay);
  ITopKLayer& added = named(layer, direct ? replay.network.addTopK(data, operation, k, axes, DataType::kINT64)
                                          : replay.network.addTopK(data, operation, k, axes));
  if (kTensor != nullptr) added.setInput(1, *kTensor);
  Added result = outputsOf(added);
  if (!direct) result.outputs[1] = toInt64(replay, layer, *result.outputs[1]);
  return result;
}

Added gather(Replay& replay, const Layer& layer) {
  const auto mode = layer.choice<GatherMode>("mode");
  IGatherLayer& added =
      named(layer, replay.network.addGatherV2(replay.input(layer, 0), replay.input(layer, 1), mode));
  if (mode != GatherMode::kND) added.setGatherAxis(layer.integer("axis"));
  added.setNbElementWiseDims(layer.integer("nbElementWiseDims"));
  return outputsOf(added);
}

Added matrixMultiply(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addMatrixMultiply(
                                    replay.input(layer, 0), layer.choice<MatrixOperation>("op0"),
                                    replay.input(layer, 1), layer.choice<MatrixOperation>("op1"))));
}

Added constant(Replay& replay, const Layer& layer) {
  const ConstantValues& values = layer.constant("weights");
  return outputsOf(named(layer, replay.network.addConstant(values.dims, values.weights)));
}

Added slice(Replay& replay, const Layer& layer) {
  ISliceLayer& added = named(layer, replay.network.addSlice(replay.input(layer, 0), layer.dims("start"),
                                                            layer.dims("size"), layer.dims("stride")));
  added.setMode(layer.choice<SampleMode>("mode"));
  for (int i = 1; i <= 4; i++) {
    if (ITensor* part = replay.optionalInput(layer, i)) added.setInput(i, *part);
  }
  return outputsOf(added);
}

Added shape(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addShape(replay.input(layer, 0))));
}

Added parametricReLU(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addParametricReLU(replay.input(layer, 0), replay.input(layer, 1))));
}

Added resize(Replay& replay, const Layer& layer) {
  IResizeLayer& added = named(layer, replay.network.addResize(replay.input(layer, 0)));
  if (ITensor* dims = replay.optionalInput(layer, 1)) {
    added.setInput(1, *dims);
  } else if (const Numbers* numbers = layer.numbers("scales")) {
    const std::vector<float> scales(numbers->begin(), numbers->end());
    added.setScales(scales.data(), static_cast<int32_t>(scales.size()));
  } else {
    added.setOutputDimensions(layer.dims("outputDimensions"));
  }
  const auto mode = layer.choice<InterpolationMode>("resizeMode");
  added.setResizeMode(mode);
  added.setCoordinateTransformation(layer.choice<ResizeCoordinateTransformation>("coordinateTransformation"));
  added.setSelectorForSinglePixel(layer.choice<ResizeSelector>("selectorForSinglePixel"));
  if (mode == InterpolationMode::kNEAREST) added.setNearestRounding(layer.choice<ResizeRoundMode>("nearestRounding"));
  if (mode == InterpolationMode::kCUBIC) added.setCubicCoeff(static_cast<float>(layer.number("cubicCoeff")));
  added.setExcludeOutside(layer.flag("excludeOutside"));
  return outputsOf(added);
}

Added select(Replay& replay, const Layer& layer) {
  return outputsOf(named(
      layer, replay.network.addSelect(replay.input(layer, 0), replay.input(layer, 1), replay.input(layer, 2))));
}

Added fill(Replay& replay, const Layer& layer) {
  ITensor* dims = replay.optionalInput(layer, 0);
  IFillLayer& added = named(
      layer, replay.network.addFill(dims != nullptr ? Dims{} : layer.dims("dimensions"),
                                    layer.choice<FillOperation>("operation"), layer.choice<DataType>("toType")));
  if (dims != nullptr) added.setInput(0, *dims);
  for (int i = 1; i <= 2; i++) {
    if (ITensor* value = replay.optionalInput(layer, i)) added.setInput(i, *value);
  }
  return outputsOf(added);
}

template <typename QuantizationLayer>
Added finishQuantization(Replay& replay, const Layer& layer, QuantizationLayer* made) {
  QuantizationLayer& added = named(layer, made);
  if (layer.integer("axis") >= 0) added.setAxis(layer.integer("axis"));
  if (ITensor* zeroPoint = replay.optionalInput(layer, 2)) added.setInput(2, *zeroPoint);
  return outputsOf(added);
}

Added quantize(Replay& replay, const Layer& layer) {
  return finishQuantization(replay, layer, replay.network.addQuantize(replay.input(layer, 0), replay.input(layer, 1),
                                                                      layer.choice<DataType>("toType")));
}

Added dequantize(Replay& replay, const Layer& layer) {
  return finishQuantization(replay, layer, replay.network.addDequantize(replay.input(layer, 0), replay.input(layer, 1),
                                                                        layer.choice<DataType>("toType")));
}

Added scatter(Replay& replay, const Layer& layer) {
  const auto mode = layer.choice<ScatterMode>("mode");
  IScatterLayer& added = named(layer, replay.network.addScatter(replay.input(layer, 0), replay.input(layer, 1),
                                                                replay.input(layer, 2), mode));
  if (mode == ScatterMode::kELEMENT) added.setAxis(layer.integer("axis"));
  return outputsOf(added);
}

Added einsum(Replay& replay, const Layer& layer) {
  const std::vector<ITensor*> inputs = replay.allInputs(layer);
  return outputsOf(named(layer, replay.network.addEinsum(inputs.data(), static_cast<int32_t>(inputs.size()),
                                                         layer.text("equation").c_str())));
}

Added oneHot(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, replay.network.addOneHot(replay.input(layer, 0), replay.input(layer, 1),
                                                         replay.input(layer, 2), layer.integer("axis"))));
}

Added nonZero(Replay& replay, const Layer& layer) {
  ITensor& data = replay.input(layer, 0);
  const bool direct = hasIndicesType(replay);
  Added result = outputsOf(
      named(layer, direct ? replay.network.addNonZero(data, DataType::kINT64) : replay.network.addNonZero(data)));
  if (!direct) result.outputs[0] = toInt64(replay, layer, *result.outputs[0]);
  return result;
}

Added gridSample(Replay& replay, const Layer& layer) {
  IGridSampleLayer& added =
      named(layer, replay.network.addGridSample(replay.input(layer, 0), replay.input(layer, 1)));
  added.setInterpolationMode(layer.choice<InterpolationMode>("interpolationMode"));
  added.setAlignCorners(layer.flag("alignCorners"));
  added.setSampleMode(layer.choice<SampleMode>("sampleMode"));
  return outputsOf(added);
}

Added nms(Replay& replay, const Layer& layer) {
  ITensor& boxes = replay.input(layer, 0);
  ITensor& scores = replay.input(layer, 1);
  ITensor& limit = replay.input(layer, 2);
  const bool direct = hasIndicesType(replay);
  INMSLayer& added = named(layer, direct ? replay.network.addNMS(boxes, scores, limit, DataType::kINT64)
                                         : replay.network.addNMS(boxes, scores, limit));
  added.setBoundingBoxFormat(layer.choice<BoundingBoxFormat>("boundingBoxFormat"));
  added.setTopKBoxLimit(layer.integer("topKBoxLimit"));
  for (int i = 3; i <= 4; i++) {
    if (ITensor* threshold = replay.optionalInput(layer, i)) added.setInput(i, *threshold);
  }
  Added result = outputsOf(added);
  if (!direct) result.outputs[0] = toInt64(replay, layer, *result.outputs[0]);
  return result;
}

Added normalization(Replay& replay, const Layer& layer) {
  INormalizationLayer& added =
      named(layer, replay.network.addNormalization(replay.input(layer, 0), replay.input(layer, 1),
                                                   replay.input(layer, 2), layer.axes("axes")));
  added.setEpsilon(static_cast<float>(layer.number("epsilon")));
  added.setNbGroups(layer.integer("nbGroups"));
  return outputsOf(added);
}

Added cumulative(Replay& replay, const Layer& layer) {
  needRelease(replay, layer, {10, 8, 0});
  return outputsOf(named(layer, replay.network.addCumulative(replay.input(layer, 0), replay.input(layer, 1),
                                                             CumulativeOperation::kSUM, layer.flag("exclusive"),
                                                             layer.flag("reverse"))));
}

Added attention(Replay& replay, const Layer& layer) {
  needRelease(replay, layer, {10, 14, 0});
  IAttention& added =
      named(layer, replay.network.addAttention(replay.input(layer, 0), replay.input(layer, 1), replay.input(layer, 2),
                                               AttentionNormalizationOp::kSOFTMAX, layer.flag("causal")));
  if (ITensor* mask = replay.optionalInput(layer, 3)) added.setMask(*mask);
  // Where no fused kernel fits, single layers do it.
  added.setDecomposable(true);
  return {{added.getOutput(0)}};
}

IIfConditional& conditionalOf(Replay& replay, const Layer& layer) {
  IIfConditional*& conditional = replay.conditionals[layer.integer("conditional")];
  if (conditional == nullptr) conditional = replay.network.addIfConditional();
  return *conditional;
}

Added condition(Replay& replay, const Layer& layer) {
  named(layer, conditionalOf(replay, layer).setCondition(replay.input(layer, 0)));
  return {};
}

Added conditionalInput(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, conditionalOf(replay, layer).addInput(replay.input(layer, 0))));
}

Added conditionalOutput(Replay& replay, const Layer& layer) {
  return outputsOf(
      named(layer, conditionalOf(replay, layer).addOutput(replay.input(layer, 0), replay.input(layer, 1))));
}

ILoop& loopOf(Replay& replay, const Layer& layer) {
  ILoop*& loop = replay.loops[layer.integer("loop")];
  if (loop == nullptr) loop = replay.network.addLoop();
  return *loop;
}

Added tripLimit(Replay& replay, const Layer& layer) {
  named(layer, loopOf(replay, layer).addTripLimit(replay.input(layer, 0), layer.choice<TripLimit>("tripLimit")));
  return {};
}

Added recurrence(Replay& replay, const Layer& layer) {
  IRecurrenceLayer& added = named(layer, loopOf(replay, layer).addRecurrence(replay.input(layer, 0)));
  Added result = outputsOf(added);
  result.recurrence = &added;
  return result;
}

Added iterator(Replay& replay, const Layer& layer) {
  return outputsOf(named(layer, loopOf(replay, layer).addIterator(replay.input(layer, 0), layer.integer("axis"),
                                                                  layer.flag("reverse"))));
}

Added loopOutput(Replay& replay, const Layer& layer) {
  ILoopOutputLayer& added =
      named(layer, loopOf(replay, layer).addLoopOutput(replay.input(layer, 0), layer.choice<LoopOutput>("loopOutput"),
                                                       layer.integer("axis")));
  if (ITensor* length = replay.optionalInput(layer, 1)) added.setInput(1, *length);
  return outputsOf(added);
}

using AddFunction = Added (*)(Replay&, const Layer&);
const std::unordered_map<std::string_view, AddFunction> kADD{
    {"kCONVOLUTION", convolution},
    {"kDECONVOLUTION", deconvolution},
    {"kCAST", cast},
    {"kIDENTITY", identity},
    {"kACTIVATION", activation},
    {"kPOOLING", pooling},
    {"kSOFTMAX", softMax},
    {"kCONCATENATION", concatenation},
    {"kELEMENTWISE", elementWise},
    {"kUNARY", unary},
    {"kSHUFFLE", shuffle},
    {"kREDUCE", reduce},
    {"kTOPK", topK},
    {"kGATHER", gather},
    {"kMATRIX_MULTIPLY", matrixMultiply},
    {"kCONSTANT", constant},
    {"kSLICE", slice},
    {"kSHAPE", shape},
    {"kPARAMETRIC_RELU", parametricReLU},
    {"kRESIZE", resize},
    {"kSELECT", select},
    {"kFILL", fill},
    {"kQUANTIZE", quantize},
    {"kDEQUANTIZE", dequantize},
    {"kSCATTER", scatter},
    {"kEINSUM", einsum},
    {"kONE_HOT", oneHot},
    {"kNON_ZERO", nonZero},
    {"kGRID_SAMPLE", gridSample},
    {"kNMS", nms},
    {"kNORMALIZATION", normalization},
    {"kCUMULATIVE", cumulative},
    {"kATTENTION", attention},
    {"kCONDITION", condition},
    {"kCONDITIONAL_INPUT", conditionalInput},
    {"kCONDITIONAL_OUTPUT", conditionalOutput},
    {"kTRIP_LIMIT", tripLimit},
    {"kRECURRENCE", recurrence},
    {"kITERATOR", iterator},
    {"kLOOP_OUTPUT", loopOutput},
};

}  // namespace

Added addToNetwork(Replay& replay, const Layer& layer) {
  const auto found = kADD.find(layer.type);
  if (found == kADD.end()) {
    throw Failure("internal", "layer '" + layer.name + "' has the unknown type " + layer.type, layer.name);
  }
  return found->second(replay, layer);
}

}  // namespace trtorch
