import t from "tap";
import { execute } from "../../../src/backends/onnx/runtime.js";
import { convert } from "../../../src/conversion/convert.js";
import { defaultRegistry } from "../../../src/conversion/default-registry.js";
import { parseIR } from "../../../src/ir/parser.js";
import { Tensor } from "../../../src/ir/tensor.js";
import { TensorType } from "../../../src/ir/type.js";
import { applyPrecision, type Precision } from "../../../src/network/precision.js";

/** The types of the layers of an attention with the mask, or without one. */
function layersOf(mask: readonly number[] | null, causal: boolean): string[] {
  const graph = parseIR(`graph(%q : Tensor):
    %mask : NoneType = prim::Constant()
    %none : NoneType = prim::Constant()
    %zero : float = prim::Constant[value=0.]()
    %causal : bool = prim::Constant[value=${Number(causal)}]()
    %no : bool = prim::Constant[value=0]()
    %y : Tensor = aten::scaled_dot_product_attention(%q, %q, %q, %mask, %zero, %causal, %none, %no)
    return (%y)`);
  if (mask !== null) {
    const [none] = [...graph.block.nodes()];
    const constant = graph.createConstant(Tensor.of("float32", [2, 2], mask), TensorType);
    graph.block.prependNode(constant);
    none?.output().replaceAllUsesWith(constant.output());
  }
  const { network } = convert(graph, {
    inputs: [{ name: "q", dtype: "float32", dims: [1, 2, 4] }],
    registry: defaultRegistry(),
    capabilities: { backend: "tensorrt-rtx", version: [1, 7] },
  });
  return network.layers.map(({ type }) => type).filter((type) => type !== "kCONSTANT");
}

t.test("rows that see nothing are 0, and in half precision the mean of the values", async (t) => {
  const graph = parseIR(`graph(%q : Tensor, %v : Tensor, %mask : Tensor):
    %none : NoneType = prim::Constant()
    %zero : float = prim::Constant[value=0.]()
    %no : bool = prim::Constant[value=0]()
    %y : Tensor = aten::scaled_dot_product_attention(%q, %q, %v, %mask, %zero, %no, %none, %no)
    return (%y)`);
  const v = [1, 2, 3, 6];
  for (const [dtype, hidden, seen] of [
    ["bool", 0, 1],
    ["float32", Number.NEGATIVE_INFINITY, 0],
  ] as const) {
    const { network } = convert(graph, {
      inputs: [
        { name: "q", dtype: "float32", dims: [1, 2, 2] },
        { name: "v", dtype: "float32", dims: [1, 2, 2] },
        { name: "mask", dtype, dims: [2, 2] },
      ],
      registry: defaultRegistry(),
      capabilities: { backend: "tensorrt", version: [10, 6] },
    });
    const rows = async (precision: Precision, fp32Ops: readonly string[] = []): Promise<number[]> => {
      const outputs = await execute(applyPrecision(network, precision, { fp32Ops }).network, {
        q: Tensor.of("float32", [1, 2, 2], [1, 2, 3, 4]),
        v: Tensor.of("float32", [1, 2, 2], v),
        mask: Tensor.of(dtype, [2, 2], [hidden, hidden, seen, hidden]),
      });
      return Object.values(outputs).flatMap((y) => [...y.toNumbers()]);
    };
    t.strictSame(await rows("fp32"), [0, 0, 1, 2]);
    t.strictSame(await rows("fp16"), [2, 4, 1, 2], `${dtype}: finite, and one kernel`);
    t.strictSame(await rows("bf16"), [2, 4, 1, 2]);
    t.strictSame(await rows("fp16", ["aten::scaled_dot_product_attention"]), [0, 0, 1, 2]);
    t.strictSame(await rows("fp16", ["kSOFTMAX"]), [0, 0, 1, 2], "softmax alone in fp32");
  }
});

t.test("masks that hide no row as a whole cost nothing more", (t) => {
  const plain = ["kELEMENTWISE", "kMATRIX_MULTIPLY", "kSOFTMAX", "kMATRIX_MULTIPLY"];
  t.strictSame(layersOf(null, false), plain);
  t.equal(layersOf(null, true).at(-1), "kMATRIX_MULTIPLY");
  t.strictSame(
    layersOf([0, Number.NEGATIVE_INFINITY, 0, 0], false).filter((type, i, all) => type !== all[i - 1] || i === 0),
    ["kELEMENTWISE", "kMATRIX_MULTIPLY", "kELEMENTWISE", "kSOFTMAX", "kMATRIX_MULTIPLY"],
  );
  const hiding = layersOf([0, 0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], false);
  t.strictSame(hiding.slice(-4), ["kSELECT", "kSOFTMAX", "kSELECT", "kMATRIX_MULTIPLY"]);
  t.notOk(hiding.includes("kREDUCE"), "which rows a constant hides is known");
  t.end();
});
