import t from "tap";
import { execute } from "../../../src/backends/onnx/runtime.js";
import { convert } from "../../../src/conversion/convert.js";
import { defaultRegistry } from "../../../src/conversion/default-registry.js";
import { parseIR } from "../../../src/ir/parser.js";
import { type ScalarType, scalarTypeCode } from "../../../src/ir/scalar-type.js";
import { Tensor } from "../../../src/ir/tensor.js";
import { TensorType } from "../../../src/ir/type.js";

/** `constant.view(dtype)`, which PyTorch's own parser of graphs has no operator for. */
async function viewed(constant: Tensor, dtype: ScalarType): Promise<Tensor> {
  const graph = parseIR(`graph(%c : Tensor):
  %d : int = prim::Constant[value=${scalarTypeCode(dtype)}]()
  %r : Tensor = aten::view(%c, %d)
  return (%r)
`);
  const node = graph.createConstant(constant, TensorType);
  graph.block.prependNode(node);
  graph.inputs[0]?.replaceAllUsesWith(node.output());
  graph.block.paramNode.eraseOutput(0);
  const { network } = convert(graph, {
    inputs: [],
    registry: defaultRegistry(),
    capabilities: { backend: "onnxruntime", version: [1, 30] },
  });
  const [output] = network.outputs;
  return (await execute(network, {}))[output?.name ?? ""] as Tensor;
}

t.test("the bits of a constant are read as another dtype", async (t) => {
  const bits = await viewed(Tensor.of("float32", [3], [1, -2, 0]), "int32");
  t.same([...bits.toNumbers()], [0x3f800000, -0x40000000, 0]);
  const floats = await viewed(Tensor.of("int32", [1, 2], [0x3f800000, 0x40490fdb]), "float32");
  t.same(floats.sizes, [1, 2]);
  t.ok(Math.abs((floats.toNumbers()[1] as number) - Math.PI) < 1e-6);
});

t.test("the last axis grows or shrinks with the size of an element", async (t) => {
  const halves = await viewed(Tensor.of("int32", [2, 1], [0x00020001, -1]), "int16");
  t.same(halves.sizes, [2, 2]);
  t.same([...halves.toNumbers()], [1, 2, -1, -1]);
  const words = await viewed(Tensor.of("uint8", [4], [1, 0, 0, 1]), "int32");
  t.same([...words.toNumbers()], [0x01000001]);
});
