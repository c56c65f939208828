import t from "tap";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { parseIR } from "../../src/ir/parser.js";

function refusal(line: string): unknown {
  const graph = parseIR(`graph(%x : Tensor):\n  %none : NoneType = prim::Constant()\n  ${line}\n  return (%r)\n`);
  const registry = defaultRegistry();
  try {
    convert(graph, {
      inputs: [{ name: "x", dtype: "float32", dims: [2, 4] }],
      registry,
      capabilities: { backend: "onnxruntime", version: [1, 30] },
    });
  } catch (error) {
    return error;
  }
  return undefined;
}

t.test("operators left out on purpose say why, and what to do", (t) => {
  t.match(refusal("%r : Tensor = aten::view_as_complex(%x)"), {
    name: "UnsupportedOperatorError",
    operator: "aten::view_as_complex",
    message: /no converter for aten::view_as_complex: TensorRT has no complex numbers\n/,
    hint: /real and imaginary parts/,
  });
  t.match(refusal("%m1 : int = prim::Constant[value=-1]()\n  %r : Tensor = aten::fft_rfft(%x, %none, %m1, %none)"), {
    message: /no converter for aten::fft_rfft: TensorRT has neither Fourier transforms/,
    hint: /product with its matrix/,
  });
  t.end();
});

t.test("others are named with the schema that a converter would have", (t) => {
  t.match(refusal("%r : Tensor = aten::digamma(%x)"), {
    message: /no converter for aten::digamma\n/,
    hint: /converter\("aten::digamma\(Tensor self\) -> Tensor"/,
  });
  t.end();
});
