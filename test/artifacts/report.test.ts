import t from "tap";
import { makeReport, operatorsInTorch, renderMarkdown, type SupportReport } from "../../src/artifacts/report.js";
import { convertFixture, registryWithGaps } from "../partition/harness.js";

t.test("the report shows each segment, and why each operator of Torch is there", async (t) => {
  const converted = await convertFixture("partition/unknown.ts", "partition/unknown.npz");
  const report = makeReport({ ...converted, model: "unknown", method: "forward", registry: registryWithGaps() });
  t.equal(report.supported, true);
  t.match(report.segments, [
    { runs: "TensorRT", inputs: [{ name: "input_0", type: "kFLOAT", dims: ["3", "4"] }] },
    { runs: "Torch", layers: null },
  ]);
  t.strictSame(report.segments?.map(({ nodes }) => nodes.map(({ operator, reason }) => `${operator}: ${reason}`))[1], [
    "aten::quantile.scalar: no converter for aten::quantile.scalar",
    "aten::mul.Scalar: it takes a result of aten::quantile.scalar, whose shape is not known",
    "aten::sub.Scalar: it takes a result of aten::mul.Scalar, whose shape is not known",
    "aten::relu: it takes a result of aten::sub.Scalar, whose shape is not known",
  ]);
  t.match(report.segments?.[1]?.nodes[0]?.source, /make\.py:\d+$/);
  t.strictSame(operatorsInTorch(report), [
    "aten::quantile.scalar",
    "aten::mul.Scalar",
    "aten::sub.Scalar",
    "aten::relu",
  ]);
  const markdown = renderMarkdown(report);
  t.match(markdown, /TensorRT runs 5 operators of this method in one engine, 4 stay with Torch\./);
  t.match(markdown, /\| 0 \| TensorRT \| 5 operators, \d+ layers \| {2}\| {2}\|/);
  t.match(
    markdown,
    /\| 1 \| Torch \| `aten::quantile.scalar` \| no converter for aten::quantile.scalar \| .*make\.py:\d+ \|/,
  );
});

t.test("operators of one reason share a row", async (t) => {
  const converted = await convertFixture("partition/modules.ts", "partition/modules.npz", {
    fallback: { torchExecutedModules: ["Block"] },
  });
  const report = makeReport({ ...converted, model: "modules", method: "forward", registry: registryWithGaps() });
  t.match(
    renderMarkdown(report),
    /\| 1 \| Torch \| `aten::linear`, `aten::relu`, `aten::add.Tensor` \| torch_executed_modules names Block \|/,
  );
});

t.test("what is not ours stays inside of its cell, as text", async (t) => {
  const report: SupportReport = {
    model: "m",
    method: "forward",
    supported: true,
    problem: null,
    operators: [
      {
        operator: "my::op",
        count: 1,
        handledBy: "converter",
        origin: "a|b.ts",
        layers: 1,
        sources: ["<eval_with_key>.1:5", "a|b.py:3"],
      },
    ],
    removed: [{ pass: "p", kind: "k", count: 1, details: ["x | y\nz"] }],
    parameters: { tensors: 0, elements: 0 },
    inputs: [],
    outputs: [],
    layers: {},
    segments: [
      {
        runs: "Torch",
        nodes: [{ operator: "my::op", source: "a|b.py:3", reason: "first\n  second | <third>" }],
        layers: null,
        inputs: [],
        outputs: [],
      },
    ],
    graph: { nodes: [], edges: [] } as unknown as SupportReport["graph"],
  };
  const rows = renderMarkdown(report)
    .split("\n")
    .filter((line) => line.includes("my::op") || line.startsWith("| p "));
  t.strictSame(rows, [
    "| 0 | Torch | `my::op` | first second \\| &lt;third> | a\\|b.py:3 |",
    "| `my::op` | 1 | converter `a\\|b.ts` | 1 | &lt;eval_with_key>.1:5<br>a\\|b.py:3 |",
    "| p | `k` | 1 | x \\| y z |",
  ]);
});
