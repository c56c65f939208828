import { type ExportedOptions, exportedProgram } from "../exported/index.js";
import type { Graph, Value } from "../ir/graph.js";
import type { DimRange, InputSpec } from "../ir/input-spec.js";
import type { Program } from "../ir/module.js";
import type { ScalarType } from "../ir/scalar-type.js";
import type { JobInput } from "../plan/job.js";
import { Archive } from "../torchscript/archive.js";
import { readTorchScript } from "../torchscript/index.js";
import { TrtorchError } from "../util/errors.js";

/** Reads a model file: a TorchScript archive or a torch.export program, told apart by what is inside. */
export function loadModel(path: string, options: ExportedOptions = {}): Program {
  const archive = Archive.open(path);
  return archive.kind === "exported" ? exportedProgram(archive, options) : readTorchScript(archive);
}

/**
 * The inputs of a method: what the config says, completed and checked by what the file says. `graph` is lowered.
 *
 * @throws TrtorchError `config` where they contradict each other, or a size is open on both sides.
 */
export function resolveInputs(
  program: Program,
  method: string,
  graph: Graph,
  given: readonly JobInput[] | null,
): InputSpec[] {
  const declared = program.inputs(method);
  if (declared === undefined) {
    if (given === null) {
      throw new TrtorchError("config", `${program.file}: a TorchScript file does not say what its inputs are`, {
        hint: "Give the model inputs: in the config, or --input NAME=SHAPE on the command line.",
      });
    }
    return fromConfig(graph, given);
  }
  const specs = given === null ? declared : merge(program.file, declared, given);
  for (const { name, dims } of specs) {
    const axis = dims.findIndex((dim) => typeof dim !== "number" && !Number.isFinite(dim.max));
    if (axis < 0) continue;
    throw new TrtorchError("config", `${program.file}: dim ${axis} of input "${name}" has no upper bound`, {
      hint: "Export with torch.export.Dim(..., max=N), or give the input min, opt and max in the config.",
    });
  }
  return [...specs];
}

function fromConfig(graph: Graph, given: readonly JobInput[]): InputSpec[] {
  const tensors = graph.inputs.filter(
    (input) => input.type.kind !== "ClassType" && input.type.kind !== "InterfaceType",
  );
  // Without a one-to-one correspondence (tuples of tensors, optional ones left out) only positions are left.
  const byPosition = (i: number): Value | undefined => {
    const input = tensors[i];
    return input?.type.kind === "TensorType" || input?.type.kind === "OptionalType" ? input : undefined;
  };
  const names = new Set<string>();
  return given.map((input, i) => {
    const value = byPosition(i);
    let name = input.name ?? value?.debugName?.replace(/\.\d+$/, "") ?? `input_${i}`;
    if (names.has(name)) name = `${name}_${i}`;
    names.add(name);
    return { name, dtype: input.dtype ?? (value === undefined ? "float32" : inferDtype(value)), dims: input.dims };
  });
}

/** Operators whose argument at the index holds positions, and so is an int64 tensor. */
const INDEX_ARGUMENTS: Readonly<Record<string, number>> = {
  "aten::embedding": 1,
  "aten::index_select": 2,
  "aten::gather": 2,
  "aten::one_hot": 0,
};

/** Operators behind which a tensor still has its dtype. */
const KEEPS_DTYPE =
  /^aten::(view|reshape|flatten|squeeze|unsqueeze|contiguous|slice|select|permute|transpose|clone|expand)$/;

/** A TorchScript file gives no dtypes: ids that look something up are int64, all else float32. */
function inferDtype(value: Value): ScalarType {
  for (const { user, offset } of value.uses) {
    if (INDEX_ARGUMENTS[user.kind] === offset) return "int64";
    if (offset === 0 && KEEPS_DTYPE.test(user.kind) && inferDtype(user.output()) === "int64") return "int64";
  }
  return "float32";
}

/** The file's inputs, narrowed to what the config asks for. State, which is not the program's own input, may be left out. */
function merge(file: string, declared: readonly InputSpec[], given: readonly JobInput[]): InputSpec[] {
  const own = declared.filter(({ isState }) => isState !== true);
  if (given.length !== declared.length && given.length !== own.length) {
    throw new TrtorchError("config", `${file} takes ${own.length} inputs, the config describes ${given.length}`, {
      hint: `The program's inputs are ${own.map(({ name }) => name).join(", ")}. They may be left out of the config.`,
    });
  }
  const symbols = new Map<string, { readonly size: number | DimRange; readonly where: string }>();
  return declared.map((spec, i) => {
    const input = given.find(({ name }) => name === spec.name) ?? given[i];
    if (input === undefined) return spec;
    const dtype = inputDtype(spec, input);
    if (input.dims.length !== spec.dims.length) {
      throw new TrtorchError(
        "config",
        `input "${spec.name}" was exported with ${spec.dims.length} dims, the config gives ${input.dims.length}`,
      );
    }
    const dims = spec.dims.map((dim, axis) => {
      const narrowed = narrow(spec.name, axis, dim, input.dims[axis] as number | DimRange);
      if (typeof dim === "number" || dim.symbol === undefined) return narrowed;
      const known = symbols.get(dim.symbol);
      const where = `dim ${axis} of input "${spec.name}"`;
      if (known !== undefined && sizeText(known.size) !== sizeText(narrowed)) {
        throw new TrtorchError(
          "config",
          `${known.where} and ${where} are both ${dim.symbol} in the export, the config gives ` +
            `${sizeText(known.size)} and ${sizeText(narrowed)}`,
          { hint: "Give both the same sizes: the program holds for inputs where they are equal." },
        );
      }
      symbols.set(dim.symbol, { size: narrowed, where });
      return narrowed;
    });
    return { ...spec, dtype, dims };
  });
}

function inputDtype(spec: InputSpec, given: JobInput): ScalarType {
  if (given.dtype === null || given.dtype === spec.dtype) return spec.dtype;
  // No engine takes doubles: the program computes with floats in their place.
  if (spec.dtype === "float64" && given.dtype === "float32") return "float32";
  throw new TrtorchError(
    "config",
    `input "${spec.name}" was exported as ${spec.dtype}, the config says ${given.dtype}`,
  );
}

function sizeText(size: number | DimRange): string {
  return typeof size === "number" ? String(size) : `${size.min}..${size.opt}..${size.max}`;
}

function narrow(name: string, axis: number, dim: number | DimRange, asked: number | DimRange): number | DimRange {
  const range = typeof asked === "number" ? { min: asked, opt: asked, max: asked } : asked;
  const bounds = typeof dim === "number" ? { min: dim, max: dim } : { min: dim.least ?? dim.min, max: dim.max };
  if (range.min < bounds.min || range.max > bounds.max) {
    const max = Number.isFinite(bounds.max) ? String(bounds.max) : "∞";
    const constraint =
      typeof dim === "number"
        ? `exported with the fixed size ${dim}`
        : `exported with ${bounds.min} <= ${dim.symbol ?? "size"} <= ${max}`;
    throw new TrtorchError(
      "config",
      `input "${name}": dim ${axis} was ${constraint}, the config asks for ${range.min}..${range.max}`,
      {
        hint: "Export the program again with dynamic_shapes that allow these sizes.",
      },
    );
  }
  if (range.min === range.max) return range.min;
  return typeof dim === "number" || dim.symbol === undefined ? range : { ...range, symbol: dim.symbol };
}
