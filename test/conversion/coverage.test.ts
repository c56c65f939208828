import { readFileSync } from "node:fs";
import t from "tap";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { converter } from "../../src/conversion/registry.js";
import { parseSchema } from "../../src/ir/schema.js";

const registry = defaultRegistry();
const kinds = new Set([...registry.entries().map(({ converter }) => converter.schema.name), ...registry.nodeKinds()]);

/** What never reaches conversion, and which pass of lowering sees to it. */
const LOWERED: Readonly<Record<string, string>> = {
  "aten::alias": "remove-no-ops",
  "aten::contiguous": "remove-no-ops",
  "aten::copy_": "functionalize",
  "aten::detach": "remove-no-ops",
  "aten::dropout": "remove-dropout",
  "aten::dropout_": "remove-dropout",
  "aten::fill_": "functionalize",
  "aten::warn": "remove-messages",
  "aten::zero_": "functionalize",
  "prim::Constant": "convert",
  "prim::GetAttr": "freeze",
  "prim::If": "convert",
  "prim::Loop": "convert",
  "prim::SetAttr": "freeze",
};

/** Listed, and not to be converted: the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  "aten::bernoulli_": "draws of training, in branches that resolve-branches drops",
  "aten::_nested_tensor_from_mask": "in branches that resolve-branches drops: no tensor of an engine is nested",
  "aten::to_padded_tensor": "in branches that resolve-branches drops: no tensor of an engine is nested",
  "aten::_unique2": "as many results as there are different numbers: no layer does it",
  "quantized::add": "kernels of quantized CPU tensors; fake quantization becomes Quantize and Dequantize layers",
  "quantized::add_relu": "as quantized::add",
  "quantized::conv2d.new": "as quantized::add",
  "quantized::conv2d_relu.new": "as quantized::add",
  "quantized::linear": "as quantized::add",
  "trt::const": "the peer's lowering makes it; no archive contains it",
  "trt::attn_bias_from_attn_mask": "the peer's lowering makes it; no archive contains it",
};

/** `name.overload` a line, or `name *` for a kind of node whatever the overload. */
function listed(file: string): string[] {
  return readFileSync(new URL(file, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function isCovered(line: string): boolean {
  const [operator = "", any] = line.split(" ");
  const [name = "", overload = ""] = operator.split(".");
  if (name in LOWERED || operator in LEFT_OUT || registry.findEvaluator(name) !== undefined) return true;
  if (any === "*") return kinds.has(name) || kinds.has(name.replace(/_$/, ""));
  return registry.find({ ...parseSchema("aten::x() -> ()"), name, overload }) !== undefined;
}

for (const [who, file, count] of [
  ["Torch-TensorRT", "peer-operators.txt", 187 + 105],
  ["the models of the census", "census-operators.txt", 165],
] as const) {
  t.test(`every operator of ${who} has a converter or an evaluator`, async (t) => {
    const all = listed(file);
    t.equal(all.filter((line) => !line.endsWith("*")).length, count);
    const missing = all.filter((line) => !isCovered(line));
    t.comment(`missing: ${missing.join(", ") || "nothing"}`);
    t.strictSame(missing, []);
  });
}

t.test("a converter that replaces another by mistake fails", (t) => {
  const relu = converter("aten::relu(Tensor self) -> Tensor", (_ctx, { self }) => self);
  t.throws(() => defaultRegistry().registerModule({ relu }, "converters/twice", { unique: true }), {
    message: "converters/twice registers aten::relu, which converters/activation has already",
  });
  t.doesNotThrow(() => defaultRegistry().registerModule({ relu }, "converters/mine"));
  t.end();
});
