import * as activation from "./converters/activation.js";
import * as arg from "./converters/arg.js";
import * as attention from "./converters/attention.js";
import * as bitView from "./converters/bit-view.js";
import * as cast from "./converters/cast.js";
import * as comparison from "./converters/comparison.js";
import * as complex from "./converters/complex.js";
import * as concat from "./converters/concat.js";
import * as convolution from "./converters/convolution.js";
import * as creation from "./converters/creation.js";
import * as deformConv from "./converters/deform-conv.js";
import * as detection from "./converters/detection.js";
import * as diagonal from "./converters/diagonal.js";
import * as distance from "./converters/distance.js";
import * as elementWise from "./converters/element-wise.js";
import * as embedding from "./converters/embedding.js";
import * as expand from "./converters/expand.js";
import * as fold from "./converters/fold.js";
import * as fourier from "./converters/fourier.js";
import * as gather from "./converters/gather.js";
import * as grouped from "./converters/grouped.js";
import * as indexPut from "./converters/index-put.js";
import * as matmul from "./converters/matmul.js";
import * as nonzero from "./converters/nonzero.js";
import * as normalization from "./converters/normalization.js";
import * as pad from "./converters/pad.js";
import * as permute from "./converters/permute.js";
import * as pooling from "./converters/pooling.js";
import * as quantize from "./converters/quantize.js";
import * as rearrange from "./converters/rearrange.js";
import * as recurrent from "./converters/recurrent.js";
import * as reduce from "./converters/reduce.js";
import * as resize from "./converters/resize.js";
import * as sampling from "./converters/sampling.js";
import * as scan from "./converters/scan.js";
import * as scatter from "./converters/scatter.js";
import * as scatterView from "./converters/scatter-view.js";
import * as select from "./converters/select.js";
import * as softmax from "./converters/softmax.js";
import * as split from "./converters/split.js";
import * as strided from "./converters/strided.js";
import * as unary from "./converters/unary.js";
import * as view from "./converters/view.js";
import * as windows from "./converters/windows.js";
import * as linearAlgebra from "./decompositions/linear-algebra.js";
import * as losses from "./decompositions/losses.js";
import * as special from "./decompositions/special.js";
import * as statistics from "./decompositions/statistics.js";
import * as collection from "./evaluators/collection.js";
import * as metadata from "./evaluators/metadata.js";
import * as number from "./evaluators/number.js";
import * as prim from "./evaluators/prim.js";
import * as string from "./evaluators/string.js";
import { Registry } from "./registry.js";

/** Every module of converters and evaluators that the compiler comes with, by its place under this folder. */
const MODULES: Readonly<Record<string, Record<string, unknown>>> = {
  "converters/attention": attention,
  "converters/comparison": comparison,
  "converters/activation": activation,
  "converters/arg": arg,
  "converters/cast": cast,
  "converters/creation": creation,
  "converters/reduce": reduce,
  "converters/scan": scan,
  "converters/softmax": softmax,
  "converters/convolution": convolution,
  "converters/element-wise": elementWise,
  "converters/matmul": matmul,
  "converters/normalization": normalization,
  "converters/pooling": pooling,
  "converters/recurrent": recurrent,
  "converters/resize": resize,
  "converters/unary": unary,
  "evaluators/collection": collection,
  "evaluators/metadata": metadata,
  "evaluators/number": number,
  "evaluators/prim": prim,
  "evaluators/string": string,
  "converters/view": view,
  "converters/bit-view": bitView,
  "converters/permute": permute,
  "converters/expand": expand,
  "converters/concat": concat,
  "converters/split": split,
  "converters/select": select,
  "converters/rearrange": rearrange,
  "converters/gather": gather,
  "converters/nonzero": nonzero,
  "converters/scatter": scatter,
  "converters/grouped": grouped,
  "converters/index-put": indexPut,
  "converters/scatter-view": scatterView,
  "converters/diagonal": diagonal,
  "converters/embedding": embedding,
  "converters/pad": pad,
  "converters/fold": fold,
  "converters/strided": strided,
  "converters/quantize": quantize,
  "converters/sampling": sampling,
  "converters/distance": distance,
  "converters/deform-conv": deformConv,
  "converters/detection": detection,
  "converters/complex": complex,
  "converters/fourier": fourier,
  "converters/windows": windows,
  "decompositions/linear-algebra": linearAlgebra,
  "decompositions/losses": losses,
  "decompositions/special": special,
  "decompositions/statistics": statistics,
};

/** A registry with all built-in converters and evaluators; registering more, or others in their place, is up to the caller. */
export function defaultRegistry(): Registry {
  const registry = new Registry();
  for (const [origin, module] of Object.entries(MODULES)) registry.registerModule(module, origin, { unique: true });
  return registry;
}
