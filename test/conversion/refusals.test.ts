import t from "tap";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import type { DimRange } from "../../src/ir/input-spec.js";
import { parseIR } from "../../src/ir/parser.js";

function refusal(
  line: string,
  backend: "onnxruntime" | "tensorrt-rtx" = "onnxruntime",
  dims: readonly (number | DimRange)[] = [2, 4],
): unknown {
  const graph = parseIR(`graph(%x : Tensor):\n  %none : NoneType = prim::Constant()\n  ${line}\n  return (%r)\n`);
  const registry = defaultRegistry();
  try {
    convert(graph, {
      inputs: [{ name: "x", dtype: "float32", dims }],
      registry,
      capabilities: { backend, version: [1, 7] },
    });
  } catch (error) {
    return error;
  }
  return undefined;
}

t.test("operators left out on purpose say why, and what to do", (t) => {
  t.match(refusal("%r : Tensor = aten::rand_like(%x, %none, %none, %none, %none, %none)"), {
    name: "UnsupportedOperatorError",
    operator: "aten::rand_like",
    message: /no converter for aten::rand_like: its random numbers would be other ones than PyTorch's\n/,
    hint: /Pass the random tensor as an input/,
  });
  t.end();
});

t.test("others are named with the schema that a converter would have", (t) => {
  t.match(refusal("%r : Tensor = aten::special_bessel_j0(%x)"), {
    message: /no converter for aten::special_bessel_j0\n/,
    hint: /converter\("aten::special_bessel_j0\(Tensor self\) -> Tensor"/,
  });
  t.end();
});

t.test("sizes that come from an input's values, but for a single integer's", (t) => {
  const sized = (value: string) =>
    [
      "%dtype : int = prim::Constant[value=4]()",
      value,
      "%int : Tensor = aten::to(%max, %dtype, %none, %none, %none)",
      "%n : Scalar = aten::item(%int)",
      "%r : Tensor = aten::arange(%n, %none, %none, %none, %none)",
    ].join("\n  ");
  const largest = sized("%max : Tensor = aten::max(%x)");
  t.equal(refusal(largest), undefined, "nothing to the CPU reference");
  t.match(refusal(largest, "tensorrt-rtx"), {
    code: "unsupported",
    message: /^aten::arange: a size of its result depends on the values of the input "x"$/,
    hint: /single integer/,
  });
  t.end();
});

t.test("what TensorRT-RTX lacks is refused for it alone, with a way out", (t) => {
  const nonzero = "%r : Tensor = aten::nonzero(%x)";
  t.equal(refusal(nonzero), undefined);
  t.match(refusal(nonzero, "tensorrt-rtx"), {
    code: "unsupported",
    message: /aten::nonzero: the size of the result depends on tensor data, and TensorRT-RTX has no NonZero layer/,
    hint: /torch.where/,
  });
  const nms = [
    "%0 : int = prim::Constant[value=0]()",
    "%1 : int = prim::Constant[value=1]()",
    "%half : float = prim::Constant[value=0.5]()",
    "%scores : Tensor = aten::select(%x, %1, %0)",
    "%r : Tensor = torchvision::nms(%x, %scores, %half)",
  ];
  t.match(refusal(nms.join("\n  "), "tensorrt-rtx"), {
    message: /TensorRT-RTX has no NMS layer/,
    hint: /End the engine before nms/,
  });
  t.end();
});

t.test("bins without bounds and groups of columns are refused with what to write instead", (t) => {
  const numbers = ["%0 : int = prim::Constant[value=0]()", "%4 : int = prim::Constant[value=4]()"];
  t.match(refusal([...numbers, "%r : Tensor = aten::histc(%x, %4, %0, %0)"].join("\n  ")), {
    message: /aten::histc: bins from the data's minimum to its maximum/,
    hint: /a min and a max above it/,
  });
  t.match(refusal("%r : Tensor = aten::_grouped_mm(%x, %x, %none, %none, %none)"), {
    message: /aten::_grouped_mm: groups of anything but rows/,
    hint: /\[groups, k, m\]/,
  });
  t.end();
});

t.test("Fourier transforms have a fixed length, up to a limit; complex tensors stay inside", (t) => {
  const rfft = "%last : int = prim::Constant[value=-1]()\n  %r : Tensor = aten::fft_rfft(%x, %none, %last, %none)";
  t.match(refusal(rfft, "onnxruntime", [2, { min: 4, opt: 8, max: 8 }]), {
    message: /aten::fft_rfft: the length of a Fourier transform must have fixed sizes/,
    hint: /fixed size in the config/,
  });
  t.match(refusal(rfft, "onnxruntime", [2, 5000]), {
    message: /a Fourier transform of length 5000 is a product with a matrix of 5000 x 5000; 4096 is the longest/,
  });
  t.match(refusal(rfft), {
    message: "the method returns a complex tensor, which an engine cannot",
    hint: /view_as_real/,
  });
  t.match(refusal(rfft.replace("%r ", "%z ").concat("\n  %r : Tensor = aten::relu(%z)")), {
    message: "aten::relu: TensorRT has no complex numbers, and this is not computed on their parts",
    hint: /view_as_real/,
  });
  t.end();
});
