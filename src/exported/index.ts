import { ObjectValue } from "../ir/constant.js";
import type { Graph, Value } from "../ir/graph.js";
import type { InputSpec } from "../ir/input-spec.js";
import type { Program } from "../ir/module.js";
import { placeOf, type StateWrite, stateWriteError } from "../ir/state-write.js";
import type { Tensor } from "../ir/tensor.js";
import { IntType, type Type } from "../ir/type.js";
import { Archive } from "../torchscript/archive.js";
import { TrtorchError } from "../util/errors.js";
import { ConstantPool, type Frame, GraphImporter } from "./importer.js";
import { findMutations } from "./mutations.js";
import { type Package, readPackage } from "./package.js";
import { outputNames } from "./pytree.js";
import { dtypeOf, type InputSpecJson, untag } from "./schema.js";
import { rootClass, SourceRanges } from "./source-ranges.js";
import { dimOf } from "./symbols.js";

export interface ExportedOptions {
  /** Which program of an archive with several. */
  readonly model?: string;
  /**
   * What becomes of buffers and inputs that the program writes to. An engine keeps no state between runs: `refuse`
   * makes it an error that names them (the default), `outputs` returns their new values after the program's outputs,
   * named `buffer_<name>` and `input_<name>`. With `inputs_and_outputs` the buffers' old values are inputs as well,
   * after the program's and named `buffer_<name>`, and the new ones are `buffer_<name>_out`: the caller carries the state
   * from run to run.
   */
  readonly mutatedBuffers?: "refuse" | "outputs" | "inputs_and_outputs";
}

/**
 * Reads a program of torch.export: the archives of PyTorch 2.5 to 2.11. The program has one method, `forward`, whose
 * graph takes the user's inputs, flat and in order, and returns the outputs likewise; weights are constants that view
 * the mapped file. Sizes that the export left open are ranges of `inputs("forward")`.
 *
 * Throws a TrtorchError: `archive` for a broken file, `unsupported` for what an engine cannot do.
 */
export function loadExported(path: string, options: ExportedOptions = {}): Program {
  return exportedProgram(Archive.open(path), options);
}

/** {@link loadExported} for an archive that is open already. */
export function exportedProgram(archive: Archive, options: ExportedOptions = {}): Program {
  if (archive.kind !== "exported") {
    throw new TrtorchError("archive", "this is a TorchScript archive, not one of torch.export", {
      location: { file: archive.file },
    });
  }
  const source = readPackage(archive, options.model);
  const program = guarded(source, () => describe(source, options));
  const typeName = guarded(source, () => programClass(source));
  let built: Built | undefined;
  const build = (): Built => {
    built ??= guarded(source, () => buildGraph(source, program));
    return built;
  };
  const inputs = (): InputSpec[] => {
    const state = program.mutatedBuffers === "inputs_and_outputs" ? build().state : [];
    return [...program.inputs.map(({ spec }) => spec), ...state];
  };
  return {
    file: archive.file,
    format: "exported",
    typeName,
    root: new ObjectValue(typeName),
    methodNames: ["forward"],
    method(_typeName, name) {
      if (name !== "forward")
        throw new TrtorchError("usage", `an exported program has no method "${name}", only "forward"`);
      return build().graph;
    },
    function(name) {
      throw new TrtorchError("usage", `an exported program has no function ${name}`);
    },
    inputs: (method) => (method === "forward" ? inputs() : undefined),
    get signature() {
      // Which buffers in-place operators write to is known once the graph is.
      const more = program.mutatedBuffers === "refuse" ? [] : build().mutated;
      return {
        inputs: inputs().map(({ name }) => name),
        outputs: [...program.outputs.map(({ name }) => name), ...more],
      };
    },
  };
}

/** What the signature says, before the graph is read. */
interface Description {
  readonly inputs: readonly { readonly spec: InputSpec; readonly type: Type }[];
  readonly weights: readonly {
    readonly name: string;
    readonly qualifiedName: string;
    readonly tensor: Tensor;
    readonly isBuffer: boolean;
  }[];
  /** By the position of the graph's output; those that are not listed are not returned. */
  readonly outputs: readonly { readonly name: string; readonly position: number }[];
  /** Buffers that the signature says are written to. */
  readonly mutated: ReadonlySet<string>;
  readonly mutatedBuffers: NonNullable<ExportedOptions["mutatedBuffers"]>;
}

function describe(source: Package, options: ExportedOptions): Description {
  const { graph, signature } = source.program.graph_module;
  const inputs: Description["inputs"][number][] = [];
  const weights: Description["weights"][number][] = [];
  const addWeight = (name: string, qualifiedName: string, kind: "weight" | "constant", isBuffer: boolean): void => {
    const tensor = source.tensor(kind, qualifiedName);
    const sizes = graph.tensor_values[name]?.sizes.map((size) => size.as_int);
    if (sizes !== undefined && String(sizes) !== String(tensor.sizes)) {
      throw new TrtorchError(
        "archive",
        `the ${kind} "${qualifiedName}" has the sizes [${tensor.sizes}], and the graph expects [${sizes}]`,
        {
          location: { file: source.file },
          hint: "The file's weights and program are of different models.",
        },
      );
    }
    weights.push({ name, qualifiedName, tensor, isBuffer });
  };
  for (const json of signature.input_specs) {
    const spec = untag(json);
    switch (spec.tag) {
      case "parameter":
        addWeight(spec.value.arg.name, spec.value.parameter_name, "weight", false);
        break;
      case "buffer":
        addWeight(
          spec.value.arg.name,
          spec.value.buffer_name,
          spec.value.persistent === false ? "constant" : "weight",
          true,
        );
        break;
      case "tensor_constant":
        addWeight(spec.value.arg.name, spec.value.tensor_constant_name, "constant", true);
        break;
      case "user_input": {
        const input = userInput(source, spec.value.arg);
        if (input !== undefined) inputs.push(input);
        break;
      }
      case "constant_input":
        // The value of the example is in the nodes that use it.
        break;
      case "custom_obj":
        throw unsupported(source, `the program uses the custom C++ object "${spec.value.custom_obj_name}"`);
      case "token":
        throw unsupported(source, "the program has operators with side effects in a fixed order (effect tokens)");
    }
  }
  return {
    inputs,
    weights,
    ...describeOutputs(source, options),
    mutatedBuffers: options.mutatedBuffers ?? "refuse",
  };
}

function describeOutputs(source: Package, options: ExportedOptions): Pick<Description, "outputs" | "mutated"> {
  const { signature } = source.program.graph_module;
  const returned: { position: number; isNone: boolean }[] = [];
  const mutated: { name: string; position: number }[] = [];
  const buffers = new Set<string>();
  signature.output_specs.forEach((json, position) => {
    const spec = untag(json);
    switch (spec.tag) {
      case "user_output":
        returned.push({ position, isNone: untag(spec.value.arg).tag === "as_none" });
        break;
      case "loss_output":
        returned.push({ position, isNone: false });
        break;
      case "buffer_mutation":
      case "parameter_mutation":
      case "user_input_mutation": {
        const [what, name]: [StateWrite["what"], string] =
          spec.tag === "buffer_mutation"
            ? ["buffer", spec.value.buffer_name]
            : spec.tag === "parameter_mutation"
              ? ["parameter", spec.value.parameter_name]
              : ["input", spec.value.user_input_name];
        if ((options.mutatedBuffers ?? "refuse") === "refuse")
          throw refusal({ what, name, location: definitionOf(source, spec.value.arg.name) });
        if (what !== "input") buffers.add(name);
        mutated.push({ name: mutatedName(what, name, options), position });
        break;
      }
      default:
        throw unsupported(source, `the program returns ${spec.tag.replaceAll("_", " ")}: it was exported for training`);
    }
  });
  const names = outputNames(source.program, returned.length);
  const outputs = returned.flatMap(({ position, isNone }, i) =>
    isNone ? [] : [{ name: names[i] as string, position }],
  );
  return { outputs: [...outputs, ...mutated], mutated: buffers };
}

function userInput(
  source: Package,
  arg: NonNullable<InputSpecJson["user_input"]>["arg"],
): Description["inputs"][number] | undefined {
  const argument = untag(arg);
  const { range_constraints: ranges, graph_module: module } = source.program;
  if (argument.tag === "as_tensor") {
    const { name } = argument.value;
    const meta = module.graph.tensor_values[name];
    if (meta === undefined) {
      throw new TrtorchError("archive", `the input "${name}" is not described`, { location: { file: source.file } });
    }
    const dtype = dtypeOf(meta.dtype);
    const dims = meta.sizes.map((size, i) => dimOf(size, ranges, `dim ${i} of the input "${name}"`));
    return { spec: { name, dtype, dims }, type: { kind: "TensorType", dtype } };
  }
  if (argument.tag === "as_sym_int" && argument.value.as_name !== undefined) {
    // A size given as a number: a tensor without dims to the engine.
    return { spec: { name: argument.value.as_name, dtype: "int64", dims: [] }, type: IntType };
  }
  if (argument.tag === "as_custom_obj")
    throw unsupported(source, `the input "${argument.value.name}" is a custom C++ object`);
  return undefined;
}

interface Built {
  readonly graph: Graph;
  /** Names of the outputs that are the new values of what in-place operators write to. */
  readonly mutated: readonly string[];
  /** Inputs in place of the buffers that are written to. */
  readonly state: readonly InputSpec[];
}

function buildGraph(source: Package, program: Description): Built {
  const importer = new GraphImporter(source.file);
  const { graph } = importer;
  const frame: Frame = {
    json: source.program.graph_module.graph,
    values: new Map(),
    block: graph.block,
    constants: new ConstantPool(),
    autocast: undefined,
  };
  const kept = new Map<Value, { what: StateWrite["what"]; name: string }>();
  for (const { spec, type } of program.inputs) {
    const value = graph.addInput(importer.names.unique(spec.name), type);
    frame.values.set(spec.name, value);
    kept.set(value, { what: "input", name: spec.name });
  }
  const weights = program.weights.map(({ name, qualifiedName, tensor, isBuffer }) => {
    const type: Type = { kind: "TensorType", dtype: tensor.dtype };
    const value = graph.block.appendNode(graph.createConstant(tensor, type)).output();
    // As PyTorch names the constants of a frozen module.
    value.debugName = importer.names.unique(`self.${qualifiedName}`);
    frame.values.set(name, value);
    kept.set(value, { what: isBuffer ? "buffer" : "parameter", name: qualifiedName });
    return value;
  });
  const results = importer.run(frame);
  for (const { position, name } of program.outputs) {
    const value = results[position];
    if (value === null || value === undefined) {
      throw new TrtorchError("archive", `the graph does not return the output "${name}"`, {
        location: { file: source.file },
      });
    }
    graph.registerOutput(value);
  }
  // Programs that were not decomposed write in place, and their signature does not say so.
  const mutated: string[] = [];
  const written = new Set<Value>();
  for (const { target, node } of findMutations(graph, new Set(kept.keys()))) {
    const { what, name } = kept.get(target) as { what: StateWrite["what"]; name: string };
    if (program.mutatedBuffers === "refuse")
      throw refusal({ what, name, location: placeOf(node.sourceRange) ?? { file: source.file } });
    graph.registerOutput(target);
    mutated.push(mutatedName(what, name, program));
    written.add(target);
  }
  const state: InputSpec[] = [];
  program.weights.forEach(({ qualifiedName, tensor, isBuffer }, i) => {
    const weight = weights[i] as Value;
    const isWritten = written.has(weight) || program.mutated.has(qualifiedName);
    if (program.mutatedBuffers !== "inputs_and_outputs" || !isWritten) return;
    const name = stateName(isBuffer ? "buffer" : "parameter", qualifiedName);
    weight.replaceAllUsesWith(graph.addInput(importer.names.unique(name), weight.type));
    state.push({ name, dtype: tensor.dtype, dims: tensor.sizes, isState: true });
  });
  importer.dropUnused(weights);
  return { graph, mutated, state };
}

/** Where the user's code computes a value of the graph. */
function definitionOf(source: Package, name: string): { file: string; line?: number } {
  const node = source.program.graph_module.graph.nodes.find(({ outputs }) => {
    return outputs.some((output) => output.as_tensor?.name === name);
  });
  return placeOf(new SourceRanges().of(node?.metadata)) ?? { file: source.file };
}

const stateName = (what: StateWrite["what"], name: string): string => `${what}_${name.replace(/\W+/g, "_")}`;

/** An engine's bindings all have names of their own. */
function mutatedName(what: StateWrite["what"], name: string, { mutatedBuffers }: ExportedOptions): string {
  const isInputToo = what !== "input" && mutatedBuffers === "inputs_and_outputs";
  return `${stateName(what, name)}${isInputToo ? "_out" : ""}`;
}

const REMEDY = "; or set mutated_buffers: outputs (inputs_and_outputs for buffers) in the config.";

const refusal = (write: StateWrite): TrtorchError => stateWriteError(write, REMEDY);

function unsupported(source: Package, message: string): TrtorchError {
  return new TrtorchError("unsupported", message, { location: { file: source.file } });
}

function programClass(source: Package): string {
  for (const { metadata } of source.program.graph_module.graph.nodes) {
    const name = rootClass(metadata);
    if (name !== undefined) return name;
  }
  return "torch.export.ExportedProgram";
}

/** JSON of another shape than PyTorch's shows in JavaScript as properties of undefined. */
function guarded<T>(source: Package, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    throw new TrtorchError("archive", `the program in the archive is not what torch.export writes (${error.message})`, {
      location: { file: source.file },
      hint: "The file is damaged: copy or download it again, or export the model again.",
      cause: error,
    });
  }
}
