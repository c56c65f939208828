import { isFloatingPoint } from "../../ir/scalar-type.js";
import type { ActivationType } from "../../network/enums.js";
import type { ITensor } from "../../network/layers.js";
import { type Dim, floordiv } from "../../network/symbolic.js";
import { sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { constantLike, elementWise, floatResult, normalizeAxis, reshape, toFloatTensor } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import * as scalars from "../scalars.js";
import { Scalar, type TensorValue } from "../values.js";
import { expm1 } from "./unary.js";

/** One of TensorRT's activations, of floats. */
function activation(name: string, type: ActivationType, alpha?: number, beta?: number): Converter {
  return converter(`aten::${name as "selu"}(Tensor self) -> Tensor`, (ctx, { self }) =>
    like(ctx, self, ctx.network.addActivation(floatOf(ctx, self), type, alpha, beta)),
  );
}

/** A composition of a few layers, of floats. */
function composed(name: string, build: (ctx: ConversionContext, x: ITensor) => ITensor): Converter {
  return converter(`aten::${name as "silu"}(Tensor self) -> Tensor`, (ctx, { self }) =>
    like(ctx, self, build(ctx, floatOf(ctx, self))),
  );
}

function floatOf(ctx: ConversionContext, self: TensorValue): ITensor {
  return toFloatTensor(ctx, self).tensor;
}

function like(ctx: ConversionContext, self: TensorValue, tensor: ITensor): TensorValue {
  return ctx.tensorValue(tensor, floatResult(self.dtype));
}

function known(ctx: ConversionContext, scalar: Scalar): number {
  return scalars.knownNumber(scalar.value) ?? ctx.unsupported("a parameter that is known only at run time");
}

/** Between two numbers; integers stay integers. */
function clip(ctx: ConversionContext, self: TensorValue, low: number, high: number): TensorValue {
  if (isFloatingPoint(self.dtype)) return like(ctx, self, ctx.network.addActivation(self.tensor, "kCLIP", low, high));
  const above = elementWise(ctx, self, new Scalar("int", low), "kMAX", self.dtype);
  return elementWise(ctx, above, new Scalar("int", high), "kMIN", self.dtype);
}

/** The SELU constants of Klambauer et al., as PyTorch has them. */
const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

export const rectifiers = [
  converter("aten::relu(Tensor self) -> Tensor", (ctx, { self }) =>
    isFloatingPoint(self.dtype)
      ? like(ctx, self, ctx.network.addActivation(self.tensor, "kRELU"))
      : elementWise(ctx, self, new Scalar("int", 0), "kMAX", self.dtype),
  ),
  converter("aten::relu6(Tensor self) -> Tensor", (ctx, { self }) => clip(ctx, self, 0, 6)),
  converter(
    "aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor",
    (ctx, { self, min_val, max_val }) => clip(ctx, self, known(ctx, min_val), known(ctx, max_val)),
  ),
  converter("aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", (ctx, { self, negative_slope }) =>
    like(ctx, self, ctx.network.addActivation(floatOf(ctx, self), "kLEAKY_RELU", known(ctx, negative_slope))),
  ),
  converter(
    "aten::rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? generator=None) -> Tensor",
    (ctx, { self, lower, upper, training }) => {
      if (training) ctx.unsupported("rrelu in training mode is random", "Save the model after model.eval().");
      const slope = (known(ctx, lower) + known(ctx, upper)) / 2;
      return like(ctx, self, ctx.network.addActivation(floatOf(ctx, self), "kLEAKY_RELU", slope));
    },
  ),
  ...["prelu", "_prelu_kernel"].map((name) =>
    converter(`aten::${name as "prelu"}(Tensor self, Tensor weight) -> Tensor`, (ctx, { self, weight }) =>
      like(ctx, self, prelu(ctx, self.tensor, weight)),
    ),
  ),
  converter(
    "aten::threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor",
    (ctx, { self, threshold, value }) => {
      const { network } = ctx;
      const x = self.tensor;
      const below = network.addElementWise(x, constantLike(ctx, x, known(ctx, threshold)), "kGREATER");
      // What is not a number is not below the threshold.
      const kept = isFloatingPoint(self.dtype)
        ? network.addElementWise(below, network.addUnary(x, "kISNAN"), "kOR")
        : below;
      return ctx.tensorValue(network.addSelect(kept, x, constantLike(ctx, x, known(ctx, value))), self.dtype);
    },
  ),
];

/** A slope for all, or one a channel: the second dim. */
function prelu(ctx: ConversionContext, x: ITensor, weight: TensorValue): ITensor {
  const rank = x.dims.length;
  const isOne = weight.dims.every((dim) => dim === 1);
  const dims: Dim[] = x.dims.map(() => 1);
  if (!isOne && weight.dims.length === 1 && rank > 1) dims[1] = weight.dims[0] as Dim;
  const slope = weight.dims.length === rank ? weight.tensor : reshape(ctx, weight.tensor, dims);
  if (rank > 0) return ctx.network.addParametricReLU(x, slope);
  const negative = ctx.network.addElementWise(x, constantLike(ctx, x, 0), "kLESS");
  return ctx.network.addSelect(negative, ctx.network.addElementWise(x, slope, "kPROD"), x);
}

/** scale * (x > 0 ? x : alpha * (e^(inputScale * x) - 1)). */
function elu(ctx: ConversionContext, x: ITensor, alpha: number, scale: number, inputScale: number): ITensor {
  const { network } = ctx;
  // TensorRT-RTX's builder fails on the layer in networks with loops.
  const asLayer = scale === 1 && inputScale === 1 && ctx.capabilities.backend !== "tensorrt-rtx";
  if (asLayer) return network.addActivation(x, "kELU", alpha);
  const times = (tensor: ITensor, factor: number): ITensor =>
    factor === 1 ? tensor : network.addElementWise(tensor, constantLike(ctx, tensor, factor), "kPROD");
  const positive = network.addElementWise(x, constantLike(ctx, x, 0), "kGREATER");
  // Where x is positive the other branch's exponential must not overflow.
  const negativePart = network.addElementWise(x, constantLike(ctx, x, 0), "kMIN");
  const below = times(expm1(ctx, times(negativePart, inputScale)), alpha * scale);
  return network.addSelect(positive, times(x, scale), below);
}

export const exponentials = [
  converter("aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", (ctx, args) => {
    const [alpha, scale, inputScale] = [args.alpha, args.scale, args.input_scale].map((scalar) => known(ctx, scalar));
    return like(
      ctx,
      args.self,
      elu(ctx, floatOf(ctx, args.self), alpha as number, scale as number, inputScale as number),
    );
  }),
  converter("aten::celu(Tensor self, Scalar alpha=1.) -> Tensor", (ctx, { self, alpha }) => {
    const value = known(ctx, alpha);
    return like(ctx, self, elu(ctx, floatOf(ctx, self), value, 1, 1 / value));
  }),
  activation("selu", "kSELU", SELU_ALPHA, SELU_SCALE),
  converter("aten::gelu(Tensor self, *, str approximate='none') -> Tensor", (ctx, { self, approximate }) =>
    like(ctx, self, ctx.network.addActivation(floatOf(ctx, self), approximate === "tanh" ? "kGELU_TANH" : "kGELU_ERF")),
  ),
  composed("silu", (ctx, x) => ctx.network.addElementWise(x, ctx.network.addActivation(x, "kSIGMOID"), "kPROD")),
  composed("mish", (ctx, x) =>
    ctx.network.addElementWise(x, ctx.network.addActivation(softplus(ctx, x, 1, 20), "kTANH"), "kPROD"),
  ),
  converter(
    "aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor",
    (ctx, { self, beta, threshold }) =>
      like(ctx, self, softplus(ctx, floatOf(ctx, self), known(ctx, beta), known(ctx, threshold))),
  ),
  composed("log_sigmoid", logSigmoid),
  converter(
    "aten::log_sigmoid_forward(Tensor self) -> (Tensor output, Tensor buffer)",
    (ctx, { self }): [TensorValue, TensorValue] => {
      const output = like(ctx, self, logSigmoid(ctx, floatOf(ctx, self)));
      return [output, output];
    },
  ),
];

/** log(1 + e^(beta * x)) / beta; above the threshold x itself, before the exponential overflows. */
function softplus(ctx: ConversionContext, x: ITensor, beta: number, threshold: number): ITensor {
  const { network } = ctx;
  const soft = network.addActivation(x, "kSOFTPLUS", 1 / beta, beta);
  const limit = constantLike(ctx, x, threshold / beta);
  const linear = network.addElementWise(x, limit, beta > 0 ? "kGREATER" : "kLESS");
  return network.addSelect(linear, x, soft);
}

/** min(x, 0) - log(1 + e^-|x|). */
function logSigmoid(ctx: ConversionContext, x: ITensor): ITensor {
  const { network } = ctx;
  const small = network.addUnary(network.addUnary(network.addUnary(x, "kABS"), "kNEG"), "kEXP");
  const log = network.addUnary(network.addElementWise(small, constantLike(ctx, x, 1), "kSUM"), "kLOG");
  return network.addElementWise(network.addElementWise(x, constantLike(ctx, x, 0), "kMIN"), log, "kSUB");
}

export const hard = [
  activation("hardsigmoid", "kHARD_SIGMOID", 1 / 6, 0.5),
  composed("hardswish", (ctx, x) =>
    ctx.network.addElementWise(x, ctx.network.addActivation(x, "kHARD_SIGMOID", 1 / 6, 0.5), "kPROD"),
  ),
  converter("aten::hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor", (ctx, { self, lambd }) => {
    const x = floatOf(ctx, self);
    const inside = ctx.network.addUnary(outside(ctx, x, known(ctx, lambd)), "kNOT");
    const notANumber = ctx.network.addUnary(x, "kISNAN");
    const zero = ctx.network.addElementWise(inside, ctx.network.addUnary(notANumber, "kNOT"), "kAND");
    return like(ctx, self, ctx.network.addSelect(zero, constantLike(ctx, x, 0), x));
  }),
  converter("aten::softshrink(Tensor self, Scalar lambd=0.5) -> Tensor", (ctx, { self, lambd }) => {
    const { network } = ctx;
    const x = floatOf(ctx, self);
    const value = known(ctx, lambd);
    // x minus what of it lies between -lambd and lambd.
    return like(ctx, self, network.addElementWise(x, network.addActivation(x, "kCLIP", -value, value), "kSUB"));
  }),
];

function outside(ctx: ConversionContext, x: ITensor, limit: number): ITensor {
  return ctx.network.addElementWise(ctx.network.addUnary(x, "kABS"), constantLike(ctx, x, limit), "kGREATER");
}

/** The first half along `dim`, times the sigmoid of the second. */
export const glu = converter("aten::glu(Tensor self, int dim=-1) -> Tensor", (ctx, { self, dim }) => {
  const { network } = ctx;
  const axis = normalizeAxis(ctx, dim, self.dims.length);
  const half = floordiv(self.dims[axis] as Dim, 2);
  const part = (start: Dim): ITensor => sliceAxis(ctx, self.tensor, axis, start, half);
  return like(ctx, self, network.addElementWise(part(0), network.addActivation(part(half), "kSIGMOID"), "kPROD"));
});
