/**
 * TensorRT's enumerations by TensorRT's names. The position of a name is its value in the C++ API (NvInfer.h), which
 * is the same in TensorRT 10, 11 and RTX for every name here; the addon receives positions.
 */
export const DATA_TYPES = [
  "kFLOAT",
  "kHALF",
  "kINT8",
  "kINT32",
  "kBOOL",
  "kUINT8",
  "kFP8",
  "kBF16",
  "kINT64",
  "kINT4",
] as const;
export type DataType = (typeof DATA_TYPES)[number];

export const ACTIVATION_TYPES = [
  "kRELU",
  "kSIGMOID",
  "kTANH",
  "kLEAKY_RELU",
  "kELU",
  "kSELU",
  "kSOFTSIGN",
  "kSOFTPLUS",
  "kCLIP",
  "kHARD_SIGMOID",
  "kSCALED_TANH",
  "kTHRESHOLDED_RELU",
  "kGELU_ERF",
  "kGELU_TANH",
] as const;
export type ActivationType = (typeof ACTIVATION_TYPES)[number];

export const ELEMENT_WISE_OPERATIONS = [
  "kSUM",
  "kPROD",
  "kMAX",
  "kMIN",
  "kSUB",
  "kDIV",
  "kPOW",
  "kFLOOR_DIV",
  "kAND",
  "kOR",
  "kXOR",
  "kEQUAL",
  "kGREATER",
  "kLESS",
] as const;
export type ElementWiseOperation = (typeof ELEMENT_WISE_OPERATIONS)[number];

export const UNARY_OPERATIONS = [
  "kEXP",
  "kLOG",
  "kSQRT",
  "kRECIP",
  "kABS",
  "kNEG",
  "kSIN",
  "kCOS",
  "kTAN",
  "kSINH",
  "kCOSH",
  "kASIN",
  "kACOS",
  "kATAN",
  "kASINH",
  "kACOSH",
  "kATANH",
  "kCEIL",
  "kFLOOR",
  "kERF",
  "kNOT",
  "kSIGN",
  "kROUND",
  "kISINF",
  "kISNAN",
] as const;
export type UnaryOperation = (typeof UNARY_OPERATIONS)[number];

export const REDUCE_OPERATIONS = ["kSUM", "kPROD", "kMAX", "kMIN", "kAVG"] as const;
export type ReduceOperation = (typeof REDUCE_OPERATIONS)[number];

export const POOLING_TYPES = ["kMAX", "kAVERAGE"] as const;
export type PoolingType = (typeof POOLING_TYPES)[number];

export const TOP_K_OPERATIONS = ["kMAX", "kMIN"] as const;
export type TopKOperation = (typeof TOP_K_OPERATIONS)[number];

export const MATRIX_OPERATIONS = ["kNONE", "kTRANSPOSE", "kVECTOR"] as const;
export type MatrixOperation = (typeof MATRIX_OPERATIONS)[number];

export const GATHER_MODES = ["kDEFAULT", "kELEMENT", "kND"] as const;
export type GatherMode = (typeof GATHER_MODES)[number];

export const SCATTER_MODES = ["kELEMENT", "kND"] as const;
export type ScatterMode = (typeof SCATTER_MODES)[number];

export const FILL_OPERATIONS = ["kLINSPACE", "kRANDOM_UNIFORM", "kRANDOM_NORMAL"] as const;
export type FillOperation = (typeof FILL_OPERATIONS)[number];

export const SAMPLE_MODES = ["kSTRICT_BOUNDS", "kWRAP", "kCLAMP", "kFILL", "kREFLECT"] as const;
export type SampleMode = (typeof SAMPLE_MODES)[number];

export const INTERPOLATION_MODES = ["kNEAREST", "kLINEAR", "kCUBIC"] as const;
export type InterpolationMode = (typeof INTERPOLATION_MODES)[number];

export const RESIZE_COORDINATE_TRANSFORMATIONS = ["kALIGN_CORNERS", "kASYMMETRIC", "kHALF_PIXEL"] as const;
export type ResizeCoordinateTransformation = (typeof RESIZE_COORDINATE_TRANSFORMATIONS)[number];

export const RESIZE_SELECTORS = ["kFORMULA", "kUPPER"] as const;
export type ResizeSelector = (typeof RESIZE_SELECTORS)[number];

export const RESIZE_ROUND_MODES = ["kHALF_UP", "kHALF_DOWN", "kFLOOR", "kCEIL"] as const;
export type ResizeRoundMode = (typeof RESIZE_ROUND_MODES)[number];

export const TRIP_LIMITS = ["kCOUNT", "kWHILE"] as const;
export type TripLimit = (typeof TRIP_LIMITS)[number];

export const LOOP_OUTPUTS = ["kLAST_VALUE", "kCONCATENATE", "kREVERSE"] as const;
export type LoopOutput = (typeof LOOP_OUTPUTS)[number];

export const BOUNDING_BOX_FORMATS = ["kCORNER_PAIRS", "kCENTER_SIZES"] as const;
export type BoundingBoxFormat = (typeof BOUNDING_BOX_FORMATS)[number];

export function isFloat(type: DataType): boolean {
  return type === "kFLOAT" || type === "kHALF" || type === "kBF16" || type === "kFP8";
}
