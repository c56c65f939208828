import type { ScalarType } from "../ir/scalar-type.js";
import { TrtorchError } from "../util/errors.js";

/**
 * The JSON of `models/<name>.json`: what PyTorch's torch/_export/serde/schema.py declares, as far as it is read here.
 * A union is an object with one key, its tag.
 */
export interface ExportedProgramJson {
  readonly graph_module: {
    readonly graph: GraphJson;
    readonly signature: {
      readonly input_specs: readonly InputSpecJson[];
      readonly output_specs: readonly OutputSpecJson[];
    };
    readonly module_call_graph?: readonly {
      readonly fqn: string;
      readonly signature?: ModuleCallSignatureJson | null;
    }[];
    readonly treespec_namedtuple_fields?: Readonly<Record<string, { readonly field_names: readonly string[] }>>;
  };
  readonly range_constraints?: Readonly<Record<string, { readonly min_val?: Bound; readonly max_val?: Bound }>>;
  readonly schema_version: { readonly major: number; readonly minor: number };
  readonly torch_version?: string;
}

/** An unbounded side is null, or in older files infinity as a string. */
export type Bound = number | string | null;

export interface ModuleCallSignatureJson {
  readonly in_spec: string;
  readonly out_spec: string;
}

export interface GraphJson {
  readonly inputs: readonly Argument[];
  readonly outputs: readonly Argument[];
  readonly nodes: readonly NodeJson[];
  readonly tensor_values: Readonly<Record<string, TensorMeta>>;
  readonly sym_int_values?: Readonly<Record<string, SymInt>>;
}

export interface NodeJson {
  /** `torch.ops.aten.conv2d.default`, `torch.ops.higher_order.cond`, `_operator.mul`, `torch.sym_max`. */
  readonly target: string;
  readonly inputs: readonly { readonly name: string; readonly arg: Argument }[];
  readonly outputs: readonly Argument[];
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface TensorMeta {
  readonly dtype: number;
  readonly sizes: readonly SymInt[];
  readonly strides: readonly SymInt[];
  readonly storage_offset: SymInt;
  readonly requires_grad?: boolean;
  readonly layout?: number;
}

export interface SymInt {
  readonly as_int?: number;
  readonly as_expr?: { readonly expr_str: string; readonly hint?: { readonly as_int?: number } | null };
}

interface Named {
  readonly name: string;
}

interface DeviceJson {
  readonly type: string;
  readonly index?: number | null;
}

/** Infinities and NaN are strings. */
type Float = number | string;
type SymIntArgument = { readonly as_name?: string; readonly as_int?: number };
type SymFloatArgument = { readonly as_name?: string; readonly as_float?: Float };
type SymBoolArgument = { readonly as_name?: string; readonly as_bool?: boolean };
type OptionalTensor = { readonly as_tensor?: Named; readonly as_none?: boolean };

interface Arguments {
  as_none: boolean;
  as_tensor: Named;
  as_tensors: readonly Named[];
  as_int: number;
  as_ints: readonly number[];
  as_float: Float;
  as_floats: readonly Float[];
  as_string: string;
  as_strings: readonly string[];
  as_sym_int: SymIntArgument;
  as_sym_ints: readonly SymIntArgument[];
  as_sym_float: SymFloatArgument;
  as_sym_floats: readonly SymFloatArgument[];
  as_sym_bool: SymBoolArgument;
  as_sym_bools: readonly SymBoolArgument[];
  as_scalar_type: number;
  as_memory_format: number;
  as_layout: number;
  as_device: DeviceJson;
  as_bool: boolean;
  as_bools: readonly boolean[];
  as_graph: { readonly name: string; readonly graph: GraphJson };
  as_optional_tensor: OptionalTensor;
  as_optional_tensors: readonly OptionalTensor[];
  as_nested_tensors: readonly (readonly Named[])[];
  as_int_lists: readonly (readonly number[])[];
  as_string_to_argument: Readonly<Record<string, Argument>>;
  as_custom_obj: { readonly name: string; readonly class_fqn: string };
  as_operator: string;
  as_complex: { readonly real: number; readonly imag: number };
}

interface InputSpecs {
  user_input: { readonly arg: Argument };
  parameter: { readonly arg: Named; readonly parameter_name: string };
  buffer: { readonly arg: Named; readonly buffer_name: string; readonly persistent?: boolean };
  tensor_constant: { readonly arg: Named; readonly tensor_constant_name: string };
  custom_obj: { readonly arg: Named; readonly custom_obj_name: string };
  constant_input: { readonly name: string };
  token: unknown;
}

interface OutputSpecs {
  user_output: { readonly arg: Argument };
  loss_output: { readonly arg: Named };
  buffer_mutation: { readonly arg: Named; readonly buffer_name: string };
  parameter_mutation: { readonly arg: Named; readonly parameter_name: string };
  user_input_mutation: { readonly arg: Named; readonly user_input_name: string };
  gradient_to_parameter: { readonly arg: Named; readonly parameter_name: string };
  gradient_to_user_input: { readonly arg: Named; readonly user_input_name: string };
  token: unknown;
}

/** `{"as_int": 3}` */
type Union<Tags> = { readonly [Tag in keyof Tags]?: Tags[Tag] };
export type Argument = Union<Arguments>;
export type InputSpecJson = Union<InputSpecs>;
export type OutputSpecJson = Union<OutputSpecs>;

/** `{tag: "as_int", value: 3}` */
type Tagged<Tags> = { [Tag in keyof Tags]: { readonly tag: Tag; readonly value: Tags[Tag] } }[keyof Tags];
export type TaggedArgument = Tagged<Arguments>;

/** The union's tag and value, for a switch. Older files list the unset tags too, as null. */
export function untag<Tags>(union: Union<Tags>): Tagged<Tags> {
  const set = Object.entries(union ?? {}).filter(([, value]) => value !== null);
  const [entry] = set;
  if (entry === undefined || set.length > 1) {
    throw new TrtorchError("archive", `expected an object with one tag, not ${JSON.stringify(union)?.slice(0, 80)}`);
  }
  return { tag: entry[0], value: entry[1] } as Tagged<Tags>;
}

/** The versions of the schema that are read: those of PyTorch 2.5 and newer. */
export const SCHEMA_MAJORS: readonly number[] = [7, 8];

// The numbers are those of the export schema, not those of c10.
const DTYPES: ReadonlyMap<number, ScalarType> = new Map([
  [1, "uint8"],
  [2, "int8"],
  [3, "int16"],
  [4, "int32"],
  [5, "int64"],
  [6, "float16"],
  [7, "float32"],
  [8, "float64"],
  [9, "complex32"],
  [10, "complex64"],
  [11, "complex128"],
  [12, "bool"],
  [13, "bfloat16"],
  [28, "uint16"],
  [29, "float8_e4m3fn"],
  [30, "float8_e5m2"],
]);

/** c10::Layout: strided, sparse COO, CSR, mkldnn, CSC, BSR, BSC. */
const LAYOUTS: ReadonlyMap<number, number> = new Map([
  [7, 0],
  [1, 1],
  [2, 2],
  [6, 3],
  [3, 4],
  [4, 5],
  [5, 6],
]);

/** c10::MemoryFormat: contiguous, preserve, channels last, channels last 3d. */
const MEMORY_FORMATS: ReadonlyMap<number, number> = new Map([
  [1, 0],
  [4, 1],
  [2, 2],
  [3, 3],
]);

function known<T>(map: ReadonlyMap<number, T>, code: number, what: string): T {
  const value = map.get(code);
  if (value === undefined)
    throw new TrtorchError("unsupported", `the ${what} numbered ${code} of torch.export is not supported`);
  return value;
}

export const dtypeOf = (code: number): ScalarType => known(DTYPES, code, "dtype");
export const layoutOf = (code: number): number => known(LAYOUTS, code, "layout");
export const memoryFormatOf = (code: number): number => known(MEMORY_FORMATS, code, "memory format");

export function floatOf(value: Float): number {
  return typeof value === "number" ? value : Number(value);
}
