import type {
  ActivationType,
  BoundingBoxFormat,
  DataType,
  ElementWiseOperation,
  FillOperation,
  GatherMode,
  InterpolationMode,
  LoopOutput,
  MatrixOperation,
  PoolingType,
  ReduceOperation,
  ResizeCoordinateTransformation,
  ResizeRoundMode,
  ResizeSelector,
  SampleMode,
  ScatterMode,
  TopKOperation,
  TripLimit,
  UnaryOperation,
} from "./enums.js";
import type { Dim } from "./symbolic.js";

/** Constant values of a network: row-major, little-endian. `values` may be a view of the mapped model file. */
export interface Weights {
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly values: Uint8Array;
}

/** A tensor of a network. */
export interface ITensor {
  readonly id: number;
  readonly type: DataType;
  readonly dims: readonly Dim[];
  /** Undefined for a network input. */
  readonly producer: Layer | undefined;
  /** A network input's or output's binding name, or a name for people. */
  name: string;
}

interface ConvolutionAttributes {
  readonly nbOutputMaps: number;
  readonly kernelSizeNd: readonly number[];
  readonly strideNd: readonly number[];
  readonly prePadding: readonly number[];
  readonly postPadding: readonly number[];
  readonly dilationNd: readonly number[];
  readonly nbGroups: number;
  /** `[nbOutputMaps, channels / nbGroups, ...kernel]`; for a deconvolution `[channels, nbOutputMaps / nbGroups, ...kernel]`. Null when input 1 is the kernel. */
  readonly kernel: Weights | null;
  /** `[nbOutputMaps]`. */
  readonly bias: Weights | null;
}

/**
 * The attributes of every layer, by TensorRT's LayerType and with the names of its setters. Inputs stand in the order
 * of `ILayer::setInput`; an optional input that is absent is null.
 */
export interface LayerAttributes {
  /** Inputs: data `[N, C, ...spatial]` with 2 or 3 spatial dims; kernel when it is a tensor. */
  kCONVOLUTION: ConvolutionAttributes;
  kDECONVOLUTION: ConvolutionAttributes;
  kCAST: { readonly toType: DataType };
  kIDENTITY: Record<never, never>;
  kACTIVATION: { readonly activationType: ActivationType; readonly alpha: number; readonly beta: number };
  kPOOLING: {
    readonly poolingType: PoolingType;
    readonly windowSizeNd: readonly number[];
    readonly strideNd: readonly number[];
    readonly prePadding: readonly number[];
    readonly postPadding: readonly number[];
    /** True: the mean is over the elements inside the input only (PyTorch's count_include_pad=False). */
    readonly averageCountExcludesPadding: boolean;
    /** Rounding of the output size: down unless true (PyTorch's ceil_mode without its last-window rule). */
    readonly roundUp: boolean;
  };
  kSOFTMAX: { readonly axis: number };
  kCONCATENATION: { readonly axis: number };
  /** Inputs of equal rank and type, dims equal or 1. */
  kELEMENTWISE: { readonly operation: ElementWiseOperation };
  kUNARY: { readonly operation: UnaryOperation };
  /** Input 1, if present: the new dims as a shape tensor; then `dims` says what they are. */
  kSHUFFLE: {
    readonly firstTranspose: readonly number[] | null;
    /** 0 copies the input's dim at the same place (after the first transpose), -1 is inferred. Null: no reshape. */
    readonly reshapeDimensions: readonly number[] | null;
    readonly secondTranspose: readonly number[] | null;
    /** The dims after the reshape, as far as inference knows them. */
    readonly dims: readonly Dim[];
    readonly zeroIsPlaceholder: boolean;
  };
  kREDUCE: { readonly operation: ReduceOperation; readonly axes: readonly number[]; readonly keepDimensions: boolean };
  /** Outputs: values, indices (int64). Input 1, if present: k as a 0-d tensor. */
  kTOPK: { readonly operation: TopKOperation; readonly k: Dim; readonly axis: number };
  /** Inputs: data, indices. */
  kGATHER: { readonly mode: GatherMode; readonly axis: number; readonly nbElementWiseDims: number };
  kMATRIX_MULTIPLY: { readonly op0: MatrixOperation; readonly op1: MatrixOperation };
  kCONSTANT: { readonly weights: Weights };
  /** Inputs: data; start, size, stride as shape tensors where not null; fill value (0-d) for kFILL. */
  kSLICE: {
    readonly start: readonly Dim[];
    readonly size: readonly Dim[];
    readonly stride: readonly Dim[];
    readonly mode: SampleMode;
  };
  /** Output: the dims as a 1-d int64 shape tensor. */
  kSHAPE: Record<never, never>;
  /** Inputs: data, slope (broadcast to data). */
  kPARAMETRIC_RELU: Record<never, never>;
  /** Input 1, if present: output dims as a shape tensor. */
  kRESIZE: {
    readonly outputDimensions: readonly Dim[];
    /** Set: PyTorch's scale factors, used for the coordinates in place of the ratio of sizes. */
    readonly scales: readonly number[] | null;
    readonly resizeMode: InterpolationMode;
    readonly coordinateTransformation: ResizeCoordinateTransformation;
    readonly selectorForSinglePixel: ResizeSelector;
    readonly nearestRounding: ResizeRoundMode;
    readonly cubicCoeff: number;
    readonly excludeOutside: boolean;
  };
  /** Inputs: condition (bool), then, else. */
  kSELECT: Record<never, never>;
  /** Inputs: dims as a shape tensor, alpha (0-d), beta (1-d, one step a dim; 0-d fill's is null). kLINSPACE: alpha + sum(beta_i * index_i). */
  kFILL: { readonly dimensions: readonly Dim[]; readonly operation: FillOperation; readonly toType: DataType };
  /** Inputs: data, scale, zero point (null: 0). */
  kQUANTIZE: { readonly axis: number; readonly toType: DataType };
  kDEQUANTIZE: { readonly axis: number; readonly toType: DataType };
  /** Inputs: data, indices, updates. */
  kSCATTER: { readonly mode: ScatterMode; readonly axis: number };
  kEINSUM: { readonly equation: string };
  /** Inputs: indices, values `[off, on]`, depth (0-d). */
  kONE_HOT: { readonly axis: number; readonly depth: Dim };
  /** Output: int64 indices `[rank, number of non-zero elements]`. */
  kNON_ZERO: Record<never, never>;
  /** Inputs: data, grid. */
  kGRID_SAMPLE: {
    readonly interpolationMode: InterpolationMode;
    readonly alignCorners: boolean;
    readonly sampleMode: SampleMode;
  };
  /** Inputs: boxes `[batch, boxes, 4]`, scores `[batch, boxes, classes]`, max boxes a class (0-d int32), IoU threshold (0-d), score threshold (0-d). Outputs: indices `[selected, 3]` int64, number selected (0-d int32). */
  kNMS: { readonly boundingBoxFormat: BoundingBoxFormat; readonly topKBoxLimit: number };
  /** Inputs: data, scale, bias; scale and bias have data's rank, 1 in the normalized axes' complement. */
  kNORMALIZATION: { readonly axes: readonly number[]; readonly epsilon: number; readonly nbGroups: number };
  /** Inputs: data, axis (0-d constant). */
  kCUMULATIVE: { readonly axis: number; readonly exclusive: boolean; readonly reverse: boolean };
  /** Inputs: query, key, value `[batch, heads, length, size]`, mask (bool or additive, null). Not in TensorRT 10.6. */
  kATTENTION: { readonly causal: boolean };
  /** Control flow: all layers of one conditional or loop share its number. */
  kCONDITION: { readonly conditional: number };
  kCONDITIONAL_INPUT: { readonly conditional: number };
  /** Inputs: then, else. */
  kCONDITIONAL_OUTPUT: { readonly conditional: number };
  kTRIP_LIMIT: { readonly loop: number; readonly tripLimit: TripLimit };
  /** Inputs: initial value, value for the next iteration (set once it exists). */
  kRECURRENCE: { readonly loop: number };
  kITERATOR: { readonly loop: number; readonly axis: number; readonly reverse: boolean };
  /** Inputs: the value of an iteration; the trip count (0-d) for kCONCATENATE and kREVERSE. */
  kLOOP_OUTPUT: { readonly loop: number; readonly loopOutput: LoopOutput; readonly axis: number; readonly length: Dim };
}

export type LayerType = keyof LayerAttributes;

export interface LayerOf<T extends LayerType> {
  readonly type: T;
  name: string;
  readonly inputs: readonly (ITensor | null)[];
  readonly outputs: readonly ITensor[];
  readonly attributes: LayerAttributes[T];
  /** The branch or loop body the layer was added in; undefined at the top. */
  readonly scope: Scope | undefined;
}

/** A layer, discriminated by `type`. */
export type Layer = { [T in LayerType]: LayerOf<T> }[LayerType];

/** A region of control flow: one branch of a conditional, or the body of a loop. */
export interface Scope {
  readonly kind: "then" | "else" | "loop";
  /** The conditional's or loop's number. */
  readonly owner: number;
  readonly parent: Scope | undefined;
}
