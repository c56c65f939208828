import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { engineAttribute, type WrappedEngine, type WrappedModule } from "../../src/artifacts/module.js";
import { constantOf, Graph, type Node, type Value } from "../../src/ir/graph.js";
import { scalarTypeCode } from "../../src/ir/scalar-type.js";
import { parseSchema } from "../../src/ir/schema.js";
import { ClassType, FloatType, IntType, NumberType, TensorType, type Type } from "../../src/ir/type.js";
import type { ITensor } from "../../src/network/layers.js";
import type { Network } from "../../src/network/network.js";
import { scalarTypeOf } from "../../src/network/weights.js";
import { restoreTorchForms } from "../../src/partition/torch-forms.js";
import { writeTorchScript } from "../../src/torchscript/writer.js";

/** A Python with PyTorch, of any release from 1.13 on; tests that need it skip without. */
export const python = process.env.TRTORCH_TEST_PYTHON;
export const skip = python === undefined && "TRTORCH_TEST_PYTHON names no Python with PyTorch";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export interface TorchJob {
  readonly module: string;
  /** The module whose results are expected; without it those of `outputs` are. */
  readonly original?: string;
  readonly method: string;
  readonly inputs: string;
  readonly outputs?: string;
  /** How the inputs make up the arguments: `[0, ["tuple", 1, 2]]`. */
  readonly arguments?: readonly unknown[];
}

export interface TorchResult {
  readonly error: string | null;
  readonly structure: unknown;
  readonly expected: unknown;
  readonly sizes: readonly boolean[];
  readonly count: readonly [number, number];
  readonly worst: number;
  readonly repeatable: boolean;
  readonly type: string;
  readonly training: boolean;
}

/** Runs wrapped modules in PyTorch, engines by the stub of `stub_engine.cpp`, which is compiled once a PyTorch. */
export function runInTorch(jobs: readonly TorchJob[], folder: string): TorchResult[] {
  const version = execFileSync(python as string, ["-c", "import torch; print(torch.__file__, torch.__version__)"]);
  const stubs = join(tmpdir(), "trtorch-build-stub");
  mkdirSync(stubs, { recursive: true });
  const stub = join(stubs, `${createHash("sha256").update(version).digest("hex").slice(0, 16)}.so`);
  execFileSync(python as string, [here("build_stub.py"), stub], { stdio: ["ignore", "ignore", "inherit"] });
  const list = join(folder, "jobs.json");
  writeFileSync(list, JSON.stringify(jobs));
  const output = execFileSync(python as string, [here("run_wrapped.py"), stub, list], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(output) as TorchResult[];
}

/** The graph as a method of a module: with `self` before its inputs. */
export function withSelf(graph: Graph, typeName: string): Graph {
  const method = new Graph(graph.name);
  const values = new Map<Value, Value>();
  method.addInput("self", ClassType(typeName));
  for (const input of graph.inputs) values.set(input, method.addInput(input.debugName, input.type));
  for (const output of method.block.cloneFrom(graph.block, values)) method.registerOutput(output);
  return method;
}

/**
 * What the stub takes for a plan: a TorchScript archive of the operators that TensorRT would run. It insists on inputs of the
 * bindings' types, and gives outputs in theirs, as an engine does.
 */
export function stubPlan(graph: Graph, network: Network): Uint8Array {
  const method = withSelf(graph, "__torch__.Segment");
  const number = (value: number): Value => method.createConstant(value, IntType).output();
  const emit = (schema: string, inputs: readonly Value[], types: readonly Type[], at: (node: Node) => void): Node => {
    const node = method.createNode(parseSchema(schema).name, inputs, types);
    node.schema = parseSchema(schema);
    at(node);
    return node;
  };
  network.inputs.forEach((input, i) => {
    const value = method.inputs[i + 1];
    if (value?.type.kind !== "TensorType") return;
    const none = method.createConstant(null, { kind: "NoneType" }).output();
    const dtype = number(scalarTypeCode(scalarTypeOf(input.type)));
    emit(
      "aten::_assert_tensor_metadata(Tensor a, int[]? size=None, int[]? stride=None, ScalarType? dtype=None) -> ()",
      [value, none, none, dtype],
      [],
      (node) => method.block.prependNode(node),
    );
  });
  method.outputs.forEach((output, i) => {
    if (output.type.kind !== "TensorType" || method.outputs.length !== network.outputs.length) return;
    const dtype = number(scalarTypeCode(scalarTypeOf((network.outputs[i] as ITensor).type)));
    const cast = emit(
      "aten::to.prim_dtype(Tensor(a) self, int? dtype=None) -> Tensor(a)",
      [output, dtype],
      [TensorType],
      (node) => method.block.appendNode(node),
    );
    method.block.returnNode.replaceInput(i, cast.output());
  });
  for (const node of [...method.nodes()]) decomposeAttention(node);
  restoreTorchForms(method);
  const module = { typeName: "__torch__.Segment", objects: [], methods: [{ name: "forward", graph: method }] };
  return Buffer.concat([...writeTorchScript({ ...module, device: "cpu" })]);
}

/** PyTorch 1.13 has no `scaled_dot_product_attention`: softmax(q kᵀ · scale + mask) v, where mask and scale are given. */
function decomposeAttention(node: Node): void {
  if (node.kind !== "aten::scaled_dot_product_attention") return;
  const { graph } = node;
  const emit = (schema: string, inputs: readonly Value[]): Value => {
    const parsed = parseSchema(schema);
    const made = graph.createNode(parsed.name, inputs, [TensorType]).insertBefore(node);
    made.schema = parsed;
    return made.output();
  };
  const number = (value: number, type = IntType): Value =>
    graph.createConstant(value, type).insertBefore(node).output();
  const argument = (name: string): Value =>
    node.input(node.schema?.arguments.findIndex((formal) => formal.name === name) ?? -1);
  const factor = constantOf(argument("scale"));
  if (typeof factor !== "number" || constantOf(argument("attn_mask")) === null) return;
  const keys = emit("aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", [
    argument("key"),
    number(-1),
    number(-2),
  ]);
  const products = emit("aten::matmul(Tensor self, Tensor other) -> Tensor", [argument("query"), keys]);
  const scale = number(factor, FloatType);
  const scaled = emit("aten::mul.Scalar(Tensor self, Scalar other) -> Tensor", [products, scale]);
  const masked = emit("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", [
    scaled,
    argument("attn_mask"),
    number(1, NumberType),
  ]);
  const none = graph.createConstant(null, { kind: "NoneType" }).insertBefore(node).output();
  const weights = emit("aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", [
    masked,
    number(-1),
    none,
  ]);
  node
    .output()
    .replaceAllUsesWith(emit("aten::matmul(Tensor self, Tensor other) -> Tensor", [weights, argument("value")]));
  node.destroy();
}

/** A stub engine that runs `graph` where `network` stands for. */
export function stubEngine(typeName: string, graph: Graph, network: Network, index?: number): WrappedEngine {
  return {
    attribute: engineAttribute(typeName, index),
    plan: stubPlan(graph, network),
    inputNames: network.inputs.map(({ name }) => name),
    outputNames: network.outputs.map(({ name }) => name),
  };
}

/** Where the engines of tests run. */
export const runtime: Pick<WrappedModule, "torchTensorrt" | "device" | "hardwareCompatible" | "platform"> = {
  torchTensorrt: null,
  device: { id: 0, major: 8, minor: 6, name: "NVIDIA A40" },
  hardwareCompatible: false,
  platform: "linux_x86_64",
};
