import t from "tap";
import { convert } from "../../../src/conversion/convert.js";
import { defaultRegistry } from "../../../src/conversion/default-registry.js";
import { parseIR } from "../../../src/ir/parser.js";
import { Tensor } from "../../../src/ir/tensor.js";
import { TensorType } from "../../../src/ir/type.js";

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

t.test("masks that hide no row as a whole cost nothing more", (t) => {
  const plain = ["kELEMENTWISE", "kMATRIX_MULTIPLY", "kSOFTMAX", "kMATRIX_MULTIPLY"];
  t.strictSame(layersOf(null, false), plain);
  t.equal(layersOf(null, true).at(-1), "kMATRIX_MULTIPLY");
  t.strictSame(
    layersOf([0, Number.NEGATIVE_INFINITY, 0, 0], false).filter((type, i, all) => type !== all[i - 1] || i === 0),
    ["kELEMENTWISE", "kMATRIX_MULTIPLY", "kELEMENTWISE", "kSOFTMAX", "kMATRIX_MULTIPLY"],
  );
  const hiding = layersOf([0, 0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], false);
  t.strictSame(hiding.slice(-2), ["kMATRIX_MULTIPLY", "kSELECT"]);
  t.notOk(hiding.includes("kREDUCE"), "which rows a constant hides is known");
  t.end();
});
