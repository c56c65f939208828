import t from "tap";
import { converter } from "../../src/conversion/registry.js";
import { parseIR } from "../../src/ir/parser.js";
import { lower } from "../../src/lowering/pipeline.js";
import { unmatched } from "../../src/partition/forced.js";
import { engineSegments, type Partition, partition } from "../../src/partition/partition.js";
import type { ConvertedModel, PartitionedModel } from "../../src/worker/convert-model.js";
import { compareChainWithGolden } from "../../src/worker/golden-chain.js";
import { loadModel } from "../../src/worker/model.js";
import { runInTorch, skip, type TorchJob } from "../artifacts/torch.js";
import {
  convertFixture,
  describeSegments,
  fixture,
  type Options,
  reasons,
  registryWithGaps,
  writeForTorch,
} from "./harness.js";

const model = (name: string, options: Options = {}): Promise<ConvertedModel | PartitionedModel> =>
  convertFixture(`partition/${name}.ts`, `partition/${name}.npz`, options);

const batch = { min: 1, opt: 2, max: 8 };

t.test("an operator without converter stays with Torch, and TensorRT runs what is around it", async (t) => {
  const tuples = await model("tuple_outputs");
  t.strictSame(describeSegments(tuples), ["TensorRT 3", "Torch aten::lgamma", "TensorRT 4"]);
  t.strictSame(reasons(tuples), ["no converter for aten::lgamma"]);
  t.strictSame(describeSegments(await model("mixed_outputs")), ["TensorRT all"]);
});

t.test("a branch that data decides is one operation, and its result's shape is that of both branches", async (t) => {
  t.strictSame(describeSegments(await model("conditional")), ["TensorRT 5", "Torch prim::If", "TensorRT 3"]);
  const converted = await model("converted_conditional");
  t.strictSame(describeSegments(converted), ["TensorRT 5", "Torch aten::digamma"], "both branches in the engine");
});

t.test("a loop that data ends keeps the shapes that an iteration keeps", async (t) => {
  t.strictSame(describeSegments(await model("loop")), ["TensorRT 2", "Torch prim::Loop", "TensorRT 2"]);
});

t.test("a list that data changes goes to Torch with the branch that makes it, never without", async (t) => {
  const ir = (before: string, within: string): string =>
    `graph(%x : Tensor):
    %none : NoneType = prim::Constant()
    %yes : bool = prim::Constant[value=1]()
    %zero : int = prim::Constant[value=0]()
    %size : int = prim::Constant[value=3]()
    ${before}
    %y : Tensor = aten::neg(%x)
    %nan : Tensor = aten::isnan(%y)
    %some : Tensor = aten::any(%nan)
    %condition : bool = aten::Bool(%some)
    %count : Tensor = aten::sum(%nan, %none)
    %n : int = aten::Int(%count)
    %z : Tensor = prim::If(%condition)
      block0():
        ${within}
        = prim::Loop(%n, %yes)
          block0(%i : int):
            %same : Tensor[] = aten::append(%list, %y)
            -> (%yes)
        %a : Tensor = aten::cat(%list, %zero)
        %first : Tensor = aten::slice(%a, %zero, %zero, %size, %zero)
        -> (%first)
      block1():
        -> (%y)
    %result : Tensor = aten::relu(%z)
    return (%result)`.replace(/^ *= prim/m, "        prim");
  const list = "%list : Tensor[] = prim::ListConstruct(%x)";
  const split = (text: string): Partition =>
    partition(parseIR(text), {
      inputs: [{ name: "x", dtype: "float32", dims: [3] }],
      registry: registryWithGaps(),
      capabilities: { backend: "tensorrt-rtx", version: [1, 0] },
      minBlockSize: 1,
      forced: () => undefined,
    });
  const { segments } = split(ir("", list));
  t.strictSame(
    segments.map(({ runs, operations }) => `${runs} ${operations.map(({ node }) => node.kind).join(" ")}`),
    ["TensorRT aten::neg aten::isnan aten::any aten::sum", "Torch prim::If aten::relu"],
    "of whose result no shape is known, for nobody knows what the list holds",
  );
  t.throws(() => split(ir(list, "")), {
    code: "unsupported",
    message: /aten::append: a list, dict or object from outside is changed in a branch or loop that data decides/,
  });
});

t.test("complex numbers cross no border of an engine: where there are parts, they stay with Torch", async (t) => {
  const parted = await model("complex");
  t.strictSame(describeSegments(parted), [
    "TensorRT 2",
    "Torch aten::fft_rfft aten::mul.Tensor aten::fft_irfft",
    "TensorRT 2",
    "Torch aten::lgamma",
    "TensorRT 1",
  ]);
  t.strictSame(reasons(parted)[0], "it takes or gives complex numbers, which cannot be an engine's inputs or outputs");
});

t.test("what depends on a shape that nobody knows stays with Torch, and says why", async (t) => {
  const unknown = await model("unknown");
  t.strictSame(describeSegments(unknown), [
    "TensorRT 5",
    "Torch aten::quantile.scalar aten::mul.Scalar aten::sub.Scalar aten::relu",
  ]);
  t.match(reasons(unknown), [
    "no converter for aten::quantile.scalar",
    "it takes a result of aten::quantile.scalar, whose shape is not known",
  ]);
  const quantile = converter(
    "aten::quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
    (ctx, { self, dim }) => ctx.network.addReduce(self.tensor, "kAVG", [dim ?? 0], true),
  );
  const told = await model("unknown", {
    registry: registryWithGaps().register(quantile),
    fallback: { torchExecutedOps: ["aten::quantile"] },
  });
  t.strictSame(
    describeSegments(told),
    ["TensorRT 3", "Torch aten::quantile.scalar", "TensorRT 5"],
    "a converter tells the shape of an operator that torch_executed_ops names",
  );
});

t.test("torch_executed_ops: with and without overload, and as they write in place", async (t) => {
  const lenet = (ops: string[]): Promise<ConvertedModel | PartitionedModel> =>
    convertFixture("models/lenet/trace.ts", "models/lenet/io.npz", { fallback: { torchExecutedOps: ops } });
  t.strictSame(describeSegments(await lenet(["aten::flatten"])), [
    "TensorRT 6",
    "Torch aten::flatten.using_ints",
    "TensorRT 5",
  ]);
  t.strictSame(describeSegments(await lenet(["aten::flatten.using_ints"])).length, 3);
  t.strictSame(describeSegments(await lenet(["aten::flatten.named_out_dim"])), ["TensorRT all"], "another overload");
  const squeezenet = await convertFixture("models/squeezenet1_1/trace.ts", "models/squeezenet1_1/io.npz", {
    fallback: { torchExecutedOps: ["aten::max_pool2d", "aten::dropout_"], minBlockSize: 3 },
  });
  t.strictSame(
    describeSegments(squeezenet),
    [
      "Torch aten::_convolution aten::relu aten::max_pool2d",
      "TensorRT 14",
      "Torch aten::max_pool2d",
      "TensorRT 14",
      "Torch aten::max_pool2d",
      "TensorRT 32",
    ],
    "two operators in front are fewer than min_block_size",
  );
  t.ok(reasons(squeezenet).includes("only 2 operators between those of Torch: min_block_size is 3"));
});

t.test("operators of users stay as they are", async (t) => {
  const custom = await model("custom");
  t.strictSame(describeSegments(custom), [
    "TensorRT 4",
    "Torch my_ops::scale aten::reshape aten::sigmoid aten::mul.Scalar",
  ]);
});

t.test("torch_executed_modules: classes, paths, and all that is within", async (t) => {
  const expected = ["TensorRT 3", "Torch aten::linear aten::relu aten::add.Tensor", "TensorRT 3"];
  for (const name of ["Block", "block"]) {
    const modules = await model("modules", { fallback: { torchExecutedModules: [name] } });
    t.strictSame(describeSegments(modules), expected, name);
    t.strictSame(reasons(modules), [`torch_executed_modules names ${name}`]);
  }
  const inner = await model("modules", { fallback: { torchExecutedModules: ["torch.nn.modules.activation.ReLU"] } });
  t.strictSame(describeSegments(inner), ["TensorRT 4", "Torch aten::relu", "TensorRT 4"]);
});

t.test("names that nothing answers to", async (t) => {
  const program = loadModel(fixture("models/lenet/trace.ts"));
  const { graph } = lower(program, "forward");
  const names = { torchExecutedOps: ["aten::relu_", "aten::rellu"], torchExecutedModules: ["LeNet", "ResNet"] };
  t.strictSame(unmatched(names, program.root, graph), ["aten::rellu", "ResNet"]);
});

t.test("sizes between segments keep their ranges", async (t) => {
  const sizes = await model("sizes", { dims: [[batch, 3, 4, 4]] });
  t.ok("partition" in sizes);
  if (!("partition" in sizes)) return;
  const [first, second] = engineSegments(sizes.partition).map(({ conversion }) => conversion.network);
  const dims = (tensors: readonly { dims: readonly unknown[] }[] | undefined): string[] =>
    (tensors ?? []).map((tensor) => tensor.dims.map((dim) => (typeof dim === "number" ? dim : "n")).join("x"));
  t.strictSame(dims(first?.outputs), ["nx4x4x4"]);
  t.strictSame(dims(second?.inputs), ["nx4x4x4"]);
  t.strictSame(dims(second?.outputs), ["nx10"]);
  const [dim] = second?.inputs[0]?.dims ?? [];
  t.match(dim, { min: 1, max: 8 });
});

t.test("fallback: false, and methods of which nothing is left", async (t) => {
  await t.rejects(model("tuple_outputs", { fallback: false }), {
    code: "unsupported-operator",
    message: /no converter for aten::lgamma/,
  });
  await t.rejects(model("tuple_outputs", { fallback: { minBlockSize: 5 } }), {
    code: "unsupported",
    message: /nothing of the method is left for TensorRT\n(.|\n)*aten::lgamma: no converter/,
    hint: /lower min_block_size \(5\)/,
  });
});

t.test("mistakes in the inputs are errors, no reason to fall back", async (t) => {
  const dims = [[3, 4], [2, 4], [3, 4], [4]];
  await t.rejects(model("collections", { dims }), { code: "conversion", message: /do not broadcast/ });
});

t.test("the segments of a model give its numbers one after the other on the CPU reference", async (t) => {
  const cases = [
    ["models/lenet/trace.ts", "models/lenet/io.npz", { torchExecutedOps: ["aten::max_pool2d"] }],
    ["models/squeezenet1_1/trace.ts", "models/squeezenet1_1/io.npz", { torchExecutedOps: ["aten::cat"] }],
    ["models/bert_tiny/trace.ts", "models/bert_tiny/io.npz", { torchExecutedOps: ["aten::layer_norm"] }],
    ["models/bert_tiny/export.pt2", "models/bert_tiny/io.npz", { torchExecutedOps: ["aten::view", "aten::gelu"] }],
    ["partition/modules.ts", "partition/modules.npz", { torchExecutedModules: ["block"] }],
  ] as const;
  for (const [file, io, fallback] of cases) {
    const registry = registryWithGaps();
    const converted = await convertFixture(file, io, { fallback, registry });
    if (!("partition" in converted)) throw new Error(`${file} has no Torch part`);
    const networks = engineSegments(converted.partition).map(({ conversion }) => conversion.network);
    const capabilities = { backend: "tensorrt-rtx", version: [1, 0] } as const;
    const options = { registry, capabilities };
    const tolerance = { rtol: 1e-4, atol: 0 };
    const compared = await compareChainWithGolden(converted.partition, networks, options, fixture(io), tolerance);
    t.ok(
      compared?.every(({ passed }) => passed),
      `${file}: ${networks.length} engines, ${compared?.map(({ maxAbsError }) => maxAbsError)}`,
    );
  }
  const lacking = await model("tuple_outputs");
  if (!("partition" in lacking)) throw new Error("no Torch part");
  const networks = engineSegments(lacking.partition).map(({ conversion }) => conversion.network);
  const options = { registry: registryWithGaps(), capabilities: { backend: "tensorrt-rtx", version: [1, 0] } as const };
  const io = fixture("partition/tuple_outputs.npz");
  t.equal(await compareChainWithGolden(lacking.partition, networks, options, io, { rtol: 1, atol: 0 }), null);
});

t.test("wrapped modules with engines and Torch parts give the original's results in PyTorch", { skip }, async (t) => {
  const folder = t.testdir();
  const dynamic: Options = { dims: [[batch, 3, 4, 4]] };
  const block: Options = { fallback: { torchExecutedModules: ["Block"] } };
  const cases: [string, Options, unknown[]?][] = [
    ["conditional", {}],
    ["converted_conditional", {}],
    ["mixed_outputs", {}],
    ["tuple_outputs", {}],
    ["named_output", {}],
    ["named_output", { fallback: { torchExecutedOps: ["aten::relu"] } }],
    [
      "collections",
      {},
      [
        ["tuple", 0, 1],
        ["list", 2, 3],
      ],
    ],
    ["sizes", {}],
    ["sizes", dynamic],
    ["sizes_trace", dynamic],
    ["in_place", {}],
    ["in_place", { fallback: { torchExecutedOps: ["aten::slice_scatter", "aten::select_scatter", "aten::add"] } }],
    ["loop", {}],
    ["modules", block],
    ["unknown", {}],
    ["doubles", {}],
    ["shared", {}],
    ["complex", {}],
  ];
  const jobs: TorchJob[] = [];
  for (const [i, [name, options, positions]] of cases.entries()) {
    const io = fixture(`partition/${name}.npz`);
    jobs.push({
      module: writeForTorch(await model(name, options), `${folder}/${i}-${name}.ts`),
      original: fixture(`partition/${name}.ts`),
      method: "forward",
      inputs: io,
      ...(positions === undefined ? {} : { arguments: positions }),
    });
  }
  const forced: [string, string, string[]][] = [
    ["models/squeezenet1_1/trace.ts", "models/squeezenet1_1/io.npz", ["aten::cat"]],
    ["models/bert_tiny/trace.ts", "models/bert_tiny/io.npz", ["aten::layer_norm"]],
    ["models/bert_tiny/export.pt2", "models/bert_tiny/io.npz", ["aten::view", "aten::gelu"]],
    ["models/lenet/script.ts", "models/lenet/io.npz", ["aten::flatten"]],
  ];
  for (const [i, [file, io, torchExecutedOps]] of forced.entries()) {
    const converted = await convertFixture(file, io, { fallback: { torchExecutedOps } });
    const module = writeForTorch(converted, `${folder}/forced-${i}.ts`);
    jobs.push({ module, method: "forward", inputs: fixture(io), outputs: fixture(io) });
  }
  const results = runInTorch(jobs, folder);
  t.equal(results.length, jobs.length);
  results.forEach((result, i) => {
    const { module, original } = jobs[i] as TorchJob;
    const name = module.slice(folder.length + 1);
    t.equal(result.error, null, `${name} runs`);
    t.ok(result.worst < 1e-4, `${name}: ${result.worst}`);
    t.ok(result.sizes?.every(Boolean), `${name}: shapes`);
    t.equal(result.count?.[0], result.count?.[1], `${name}: number of tensors`);
    t.ok(result.repeatable, `${name} gives the same again`);
    if (original !== undefined) t.strictSame(result.structure, result.expected, `${name}: structure and dtypes`);
  });
});
