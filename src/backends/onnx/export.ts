import type { DataType } from "../../network/enums.js";
import type { ITensor, Layer, LayerOf, LayerType, Scope } from "../../network/layers.js";
import type { Network } from "../../network/network.js";
import { TrtorchError } from "../../util/errors.js";
import { GraphBuilder, ModelBuilder } from "./graph.js";
import { type GraphProto, ONNX_TYPES, type OnnxModel, type ValueInfoProto } from "./proto.js";
import { ARITHMETIC } from "./rules/arithmetic.js";
import { INDEXING } from "./rules/indexing.js";
import type { ControlFlow, Rule, Rules } from "./rules/rule.js";
import { SPATIAL } from "./rules/spatial.js";

const RULES: Rules<Exclude<LayerType, ControlFlow>> = { ...ARITHMETIC, ...INDEXING, ...SPATIAL };

/** Gelu came with 20, one's own quantized types with 21; onnxruntime has known both since 1.20. */
const OPSET = 21;
const IR_VERSION = 10;

export interface OnnxOptions {
  /**
   * Compute float16 and bfloat16 tensors in float, rounding each result: for onnxruntime's CPU kernels. Inputs and outputs
   * are float.
   */
  readonly emulateHalves?: boolean;
}

/**
 * The network as an ONNX model that computes the same, in standard operators. Weights are views of the network's.
 * Dynamic dims are named by their symbols.
 */
export function toOnnx(network: Network, options: OnnxOptions = {}): OnnxModel {
  return new Exporter(network, options.emulateHalves ?? false).model();
}

/** A graph or subgraph in the making: what is known in it by which name. */
class Frame {
  readonly graph: GraphBuilder;
  readonly scope: string;
  readonly parent: Frame | undefined;
  readonly names = new Map<ITensor, string>();

  constructor(graph: GraphBuilder, scope: string, parent?: Frame) {
    this.graph = graph;
    this.scope = scope;
    this.parent = parent;
  }

  find(tensor: ITensor): string | undefined {
    return this.names.get(tensor) ?? this.parent?.find(tensor);
  }

  /** This frame or the one around it that stands for `scope`. */
  at(scope: string): Frame | undefined {
    return this.scope === scope ? this : this.parent?.at(scope);
  }
}

class Exporter {
  readonly #network: Network;
  readonly #builder: ModelBuilder;
  /** Layers that the outputs need, by the scope they stand in. */
  readonly #layers = new Map<string, Layer[]>();
  /** The layers of each conditional and loop. */
  readonly #parts = new Map<number, Layer[]>();

  constructor(network: Network, emulateHalves: boolean) {
    this.#network = network;
    this.#builder = new ModelBuilder(emulateHalves);
    for (const layer of network.layers) {
      const owner = ownerOf(layer);
      if (owner !== undefined) push(this.#parts, owner, layer);
    }
    const needed = this.#needed();
    for (const layer of network.layers) if (needed.has(layer)) push(this.#layers, scopeKey(layer.scope), layer);
  }

  model(): OnnxModel {
    const { inputs, outputs } = this.#network;
    const graph = new GraphBuilder(this.#builder);
    const frame = new Frame(graph, scopeKey(undefined));
    for (const tensor of inputs) frame.names.set(tensor, this.#builder.unique(tensor.name));
    const outputNames = outputs.map((tensor) => this.#builder.unique(tensor.name));
    this.#emitScope(frame);
    // Binding names belong to the bindings alone, which may be constants or of a loop's body.
    outputs.forEach((tensor, i) => {
      graph.named("Identity", [this.#name(tensor, frame)], outputNames[i] as string);
    });
    return {
      irVersion: IR_VERSION,
      producerName: "trtorch-build",
      opsetImport: [{ domain: "", version: OPSET }],
      graph: {
        name: "network",
        node: graph.nodes,
        initializer: this.#builder.initializers,
        input: inputs.map((tensor) => this.#valueInfo(frame.names.get(tensor) as string, tensor)),
        output: outputs.map((tensor, i) => this.#valueInfo(outputNames[i] as string, tensor)),
      },
    };
  }

  #needed(): Set<Layer> {
    const needed = new Set<Layer>();
    const pending = this.#network.outputs.map((tensor) => tensor.producer);
    const reach = (tensor: ITensor | null): unknown => pending.push(tensor?.producer);
    while (pending.length > 0) {
      const layer = pending.pop();
      if (layer === undefined || needed.has(layer)) continue;
      needed.add(layer);
      layer.inputs.forEach(reach);
      // A condition or a trip limit is nobody's input, and every output of a loop is an output of one node.
      for (const part of this.#parts.get(ownerOf(layer) ?? -1) ?? []) {
        if (part.type !== "kITERATOR" && part.type !== "kCONDITIONAL_INPUT") pending.push(part);
      }
    }
    return needed;
  }

  /** All layers of the frame's scope, in order; those of scopes within it are added with their conditional or loop. */
  #emitScope(frame: Frame): void {
    for (const layer of this.#layers.get(frame.scope) ?? []) {
      if (layer.outputs.length > 0 && !frame.names.has(layer.outputs[0] as ITensor)) this.#emit(layer, frame);
    }
  }

  /** The name of a tensor as seen from a frame. What computes it is added first where it is not there yet. */
  #name(tensor: ITensor, frame: Frame): string {
    const known = frame.find(tensor);
    if (known !== undefined) return known;
    const layer = tensor.producer;
    const home = layer === undefined ? undefined : frame.at(scopeKey(layer.scope));
    if (layer === undefined || home === undefined) {
      throw new TrtorchError("internal", `tensor ${tensor.name} is used outside the branch or loop that computes it`);
    }
    this.#emit(layer, home);
    return frame.find(tensor) as string;
  }

  #emit(layer: Layer, frame: Frame): void {
    switch (layer.type) {
      case "kCONDITION":
      case "kTRIP_LIMIT":
        return;
      case "kCONDITIONAL_INPUT":
        frame.names.set(layer.outputs[0] as ITensor, this.#name(layer.inputs[0] as ITensor, frame));
        return;
      case "kCONDITIONAL_OUTPUT":
        this.#emitIf(layer.attributes.conditional, frame);
        return;
      case "kLOOP_OUTPUT":
        this.#emitLoop(layer.attributes.loop, frame);
        return;
      case "kRECURRENCE":
        throw new TrtorchError("internal", `the recurrence ${layer.name} is used outside its loop`);
      case "kITERATOR":
        throw new TrtorchError(
          "unsupported",
          `ONNX cannot compute a loop's condition from the iterator ${layer.name}`,
          {
            hint: "Compute the condition from a value that the loop carries.",
          },
        );
      default: {
        const names = layer.inputs.map((tensor) => (tensor === null ? "" : this.#name(tensor, frame)));
        frame.graph.layer = layer.name;
        const rule = RULES[layer.type] as Rule<LayerType>;
        const results = rule(frame.graph, layer as LayerOf<LayerType>, names);
        layer.outputs.forEach((tensor, i) => {
          const name = typeof results === "string" ? results : (results[i] as string);
          frame.names.set(tensor, this.#rounded(frame.graph, layer, tensor, name));
        });
      }
    }
  }

  /** Where half precision is emulated, the value as it would hold it. */
  #rounded(graph: GraphBuilder, layer: Layer, tensor: ITensor, name: string): string {
    if (!this.#builder.isEmulated(tensor.type) || MOVES.has(layer.type)) return name;
    return graph.op("Cast", [graph.op("Cast", [name], { to: ONNX_TYPES[tensor.type] })], { to: ONNX_TYPES.kFLOAT });
  }

  #emitIf(conditional: number, frame: Frame): void {
    const parts = this.#parts.get(conditional) ?? [];
    const condition = parts.find((part) => part.type === "kCONDITION")?.inputs[0] as ITensor;
    const outputs = parts.filter((part) => part.type === "kCONDITIONAL_OUTPUT");
    const predicate = this.#name(condition, frame);
    const branch = (kind: "then" | "else", index: number): GraphProto => {
      const inner = new Frame(new GraphBuilder(this.#builder), `${kind}${conditional}`, frame);
      this.#emitScope(inner);
      return this.#subgraph(
        inner,
        outputs.map((output) => output.inputs[index] as ITensor),
        [],
      );
    };
    // Before the node that holds them, because they may add what they need to the graph around it.
    const then = branch("then", 0);
    const otherwise = branch("else", 1);
    frame.graph.layer = outputs[0]?.name ?? "";
    const names = frame.graph.ops("If", [predicate], { then_branch: then, else_branch: otherwise }, outputs.length);
    outputs.forEach((output, i) => {
      frame.names.set(output.outputs[0] as ITensor, names[i] as string);
    });
  }

  /** A subgraph that gives these values under names of its own. */
  #subgraph(frame: Frame, results: readonly (ITensor | Result)[], input: ValueInfoProto[]): GraphProto {
    const output = results.map((result) => {
      const value = "id" in result ? this.#name(result, frame) : result.name;
      frame.graph.layer = frame.scope;
      return this.#valueInfo(frame.graph.op("Identity", [value]), { type: result.type });
    });
    return { name: frame.scope, node: frame.graph.nodes, initializer: [], input, output };
  }

  #emitLoop(loop: number, frame: Frame): void {
    const parts = this.#parts.get(loop) ?? [];
    const limits = parts.filter((part) => part.type === "kTRIP_LIMIT");
    const recurrences = parts.filter((part) => part.type === "kRECURRENCE");
    const outputs = parts.filter((part) => part.type === "kLOOP_OUTPUT");
    const scope = `loop${loop}`;

    const count = limits.find((limit) => limit.attributes.tripLimit === "kCOUNT")?.inputs[0];
    const condition = limits.find((limit) => limit.attributes.tripLimit === "kWHILE")?.inputs[0];
    const initial = recurrences.map((recurrence) => this.#name(recurrence.inputs[0] as ITensor, frame));
    // ONNX wants the condition of the iteration to come; TensorRT computes it at the start of that iteration.
    // So its layers are added twice: before the loop from the initial values, and in the body from the next ones.
    const conditionOf = (graph: GraphBuilder, values: readonly string[]): string => {
      const ahead = new Frame(graph, scope, frame);
      recurrences.forEach((recurrence, i) => {
        ahead.names.set(recurrence.outputs[0] as ITensor, values[i] as string);
      });
      return this.#name(condition as ITensor, ahead);
    };
    const limit = count == null ? "" : frame.graph.toScalar(frame.graph.cast(this.#name(count, frame), "kINT64"));
    const start = condition == null ? "" : conditionOf(frame.graph, initial);

    const graph = new GraphBuilder(this.#builder);
    const body = new Frame(graph, scope, frame);
    const [iteration, goOn] = [this.#builder.unique(`${scope}/iteration`), this.#builder.unique(`${scope}/condition`)];
    const carried = recurrences.map((recurrence) => {
      const tensor = recurrence.outputs[0] as ITensor;
      const name = this.#builder.unique(recurrence.name);
      body.names.set(tensor, name);
      return this.#valueInfo(name, { type: tensor.type });
    });
    for (const part of parts) {
      if (part.type === "kITERATOR") body.names.set(part.outputs[0] as ITensor, this.#iterate(part, iteration, body));
    }
    this.#emitScope(body);
    const next = recurrences.map((recurrence) => this.#name(recurrence.inputs[1] as ITensor, body));
    const again: Result = { type: "kBOOL", name: condition == null ? goOn : conditionOf(graph, next) };
    const carriedOn = recurrences.map((recurrence, i) => ({
      type: (recurrence.outputs[0] as ITensor).type,
      name: next[i] as string,
    }));
    // The last value of what is not carried is the last of all its values.
    const finals = outputs.map((output) =>
      output.attributes.loopOutput === "kLAST_VALUE"
        ? recurrences.findIndex((recurrence) => recurrence.outputs[0] === output.inputs[0])
        : -1,
    );
    const scanned = outputs.filter((_, i) => (finals[i] as number) < 0);
    const results = [again, ...carriedOn, ...scanned.map((output) => output.inputs[0] as ITensor)];
    const proto = this.#subgraph(body, results, [
      this.#valueInfo(iteration, { type: "kINT64", dims: [] }),
      this.#valueInfo(goOn, { type: "kBOOL", dims: [] }),
      ...carried,
    ]);

    frame.graph.layer = scope;
    const names = frame.graph.ops(
      "Loop",
      [limit, start, ...initial],
      { body: proto },
      recurrences.length + scanned.length,
    );
    outputs.forEach((output, i) => {
      const final = finals[i] as number;
      const index = final >= 0 ? final : recurrences.length + scanned.indexOf(output);
      const name = names[index] as string;
      frame.names.set(output.outputs[0] as ITensor, final >= 0 ? name : this.#arrange(output, name, frame.graph));
    });
  }

  /** The slice of a tensor that an iteration sees. */
  #iterate(layer: LayerOf<"kITERATOR">, iteration: string, body: Frame): string {
    const { axis, reverse } = layer.attributes;
    const value = this.#name(layer.inputs[0] as ITensor, body);
    const { graph } = body;
    graph.layer = layer.name;
    if (!reverse) return graph.op("Gather", [value, iteration], { axis });
    const last = graph.op("Sub", [graph.toScalar(graph.size(value, axis)), graph.scalar("kINT64", 1)]);
    return graph.op("Gather", [value, graph.op("Sub", [last, iteration])], { axis });
  }

  /** A loop's values, which ONNX stacks along a new first axis, as the loop output has them. */
  #arrange(layer: LayerOf<"kLOOP_OUTPUT">, stacked: string, graph: GraphBuilder): string {
    const { loopOutput, axis } = layer.attributes;
    graph.layer = layer.name;
    if (loopOutput === "kLAST_VALUE") return graph.op("Gather", [stacked, graph.scalar("kINT64", -1)], { axis: 0 });
    const backwards =
      loopOutput === "kREVERSE"
        ? graph.op("Slice", [stacked, graph.ints([-1]), graph.ints([-(2 ** 31)]), graph.ints([0]), graph.ints([-1])])
        : stacked;
    if (axis === 0) return backwards;
    const perm = (layer.inputs[0] as ITensor).dims.map((_, i) => i + 1);
    perm.splice(axis, 0, 0);
    return graph.op("Transpose", [backwards], { perm });
  }

  #valueInfo(name: string, tensor: { readonly type: DataType; readonly dims?: ITensor["dims"] }): ValueInfoProto {
    const elemType = this.#builder.elementType(tensor.type);
    if (tensor.dims === undefined) return { name, type: { tensorType: { elemType } } };
    const dim = tensor.dims.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: String(size) }));
    return { name, type: { tensorType: { elemType, shape: { dim } } } };
  }
}

/** A value of a subgraph by its name. */
interface Result {
  readonly type: DataType;
  readonly name: string;
}

/** Layers whose results are values of their inputs: rounded already. */
const MOVES: ReadonlySet<LayerType> = new Set<LayerType>([
  "kCONSTANT",
  "kIDENTITY",
  "kSHUFFLE",
  "kCONCATENATION",
  "kGATHER",
  "kSLICE",
  "kSELECT",
  "kSCATTER",
  "kTOPK",
]);

function scopeKey(scope: Scope | undefined): string {
  return scope === undefined ? "" : `${scope.kind}${scope.owner}`;
}

/** The conditional or loop that a control flow layer is part of. */
function ownerOf(layer: Layer): number | undefined {
  const attributes = layer.attributes as { readonly conditional?: number; readonly loop?: number };
  return attributes.conditional ?? attributes.loop;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
