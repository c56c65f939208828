import { readFileSync } from "node:fs";
import t from "tap";
import { defaultRegistry } from "../../src/conversion/default-registry.js";

/** Operators (name and overload) that Torch-TensorRT's TorchScript front end knows, and kinds that 120 real models contain. */
const operators = JSON.parse(readFileSync(new URL("../fixtures/operators.json", import.meta.url), "utf8")) as {
  converted_by_torch_tensorrt: string[];
  found_in_models: string[];
};

const registry = defaultRegistry();
const kinds = new Set(registry.nodeKinds());
const names = new Set(registry.entries().map(({ name }) => name));
const bases = new Set([...kinds, ...[...names].map((name) => name.replace(/\..*/, ""))]);

/** Writes in place have the converter of the operator without. */
function withoutWriting(kind: string): string {
  return /[^_]_$/.test(kind) ? kind.slice(0, -1) : kind;
}

t.test("every operator that Torch-TensorRT converts or evaluates is known", (t) => {
  const missing = operators.converted_by_torch_tensorrt.filter((name) => {
    const [kind = "", overload] = name.split(".");
    const functional = [withoutWriting(kind), ...(overload === undefined ? [] : [overload])].join(".");
    return !names.has(name) && !names.has(functional) && !kinds.has(kind);
  });
  t.same(missing, []);
  t.end();
});

/** Constructs that conversion itself takes care of. */
const LANGUAGE = new Set(["prim::Constant", "prim::If", "prim::Loop"]);

/** What an engine has no counterpart for, and why. */
const OUT_OF_REACH: Readonly<Record<string, string>> = {
  "aten::bernoulli_": "random: stochastic depth in training mode",
  "aten::_unique2": "the number of results depends on the data",
  "aten::_nested_tensor_from_mask": "nested tensors: the fast path of a scripted transformer encoder",
  "aten::to_padded_tensor": "nested tensors",
};

t.test("every operator that real models contain is known", (t) => {
  const missing = operators.found_in_models.filter(
    (kind) => !bases.has(kind) && !bases.has(withoutWriting(kind)) && !LANGUAGE.has(kind) && !(kind in OUT_OF_REACH),
  );
  t.same(missing, []);
  t.end();
});
