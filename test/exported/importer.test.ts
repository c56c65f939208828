import { fileURLToPath } from "node:url";
import t from "tap";
import { type ExportedOptions, loadExported } from "../../src/exported/index.js";
import { allNodes, type Graph } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { operatorName } from "../../src/ir/schema.js";
import { ListType, TensorType } from "../../src/ir/type.js";
import { eliminateDeadCode } from "../../src/lowering/eliminate-dead-code.js";
import { lower } from "../../src/lowering/pipeline.js";
import { TrtorchError } from "../../src/util/errors.js";

const FIXTURES = new URL("../fixtures/exported/", import.meta.url);
const MODELS = new URL("../../../shared/models/", import.meta.url);

const FORMS = [
  ...["arguments", "autocast", "bfloat16", "cond", "constants", "copies", "custom_op", "custom_write"],
  ...["data_dependent", "derived_dim"],
  ...["dict_inputs", "in_place", "in_place_core", "item", "lstm", "map", "no_grad", "outputs", "scalar_inputs", "scan"],
  ...["shared_storage", "symbolic", "unbounded", "while_loop"],
];

function load(name: string, options?: ExportedOptions): Graph {
  const program = loadExported(fileURLToPath(new URL(`${name}.pt2`, FIXTURES)), options);
  return program.method(program.typeName, "forward");
}

/** The graph without source ranges, and without the line of its parameters. */
const body = (graph: Graph): string[] =>
  printGraph(graph, { sourceRanges: false })
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^graph|^%\w+ : \w+(?:,|\):)$/.test(line));

const operators = (graph: Graph): string[] =>
  [...allNodes(graph.block)]
    .filter((node) => node.kind !== "prim::Constant")
    .map((node) => (node.schema ? operatorName(node.schema) : node.kind));

t.test("LeNet, in the form of PyTorch's JIT", async (t) => {
  const program = loadExported(fileURLToPath(new URL("lenet/export.pt2", MODELS)));
  t.equal(program.typeName, "__main__.LeNet");
  const graph = program.method(program.typeName, "forward");
  t.strictSame(operators(graph), [
    "aten::conv2d",
    "aten::relu",
    "prim::ListConstruct",
    "aten::max_pool2d",
    "aten::conv2d",
    "aten::relu",
    "prim::ListConstruct",
    "aten::max_pool2d",
    "aten::flatten.using_ints",
    "aten::linear",
    "aten::relu",
    "aten::linear",
    "aten::relu",
    "aten::linear",
  ]);
  const [conv] = [...graph.nodes()].filter((node) => node.kind === "aten::conv2d");
  t.strictSame(
    conv?.inputs.map((input) => input.name.replace(/^\d+$/, "")),
    ["x", "self.feat.conv1.weight", "self.feat.conv1.bias", "", "", "", ""],
    "defaults are filled in",
  );
  t.strictSame(conv?.input(3).type, ListType({ kind: "IntType" }));
  t.strictSame(conv?.input(3).node.attributes.get("value"), [1, 1], "stride=1 of int[2]");
  const range = conv?.sourceRange;
  t.match(
    range,
    { file: "examples/models/make_models.py", line: 34, module: "feat.conv1" },
    "the user's line, not PyTorch's",
  );
  t.equal(range?.moduleClass, "torch.nn.modules.conv.Conv2d");
  t.equal(range?.callers?.[0]?.line, 41);
  t.match(range?.text, /F.max_pool2d/);
});

t.test("BERT has the operators of its export", async (t) => {
  const program = loadExported(fileURLToPath(new URL("bert_tiny/export.pt2", MODELS)));
  const graph = program.method(program.typeName, "forward");
  const names = operators(graph);
  t.equal(names.filter((name) => name === "aten::scaled_dot_product_attention").length, 2);
  t.equal(names.filter((name) => name === "aten::linear").length, 13);
  t.notOk(names.some((name) => name.includes("assert")));
});

t.test("every form: operators have schemas and all their arguments, and the text reads back", async (t) => {
  for (const name of FORMS) {
    const graph = load(name);
    for (const node of allNodes(graph.block)) {
      if (node.kind.startsWith("prim::") && node.schema === undefined) continue;
      t.ok(node.schema, `${name}: ${node.kind}`);
      t.equal(node.inputs.length, node.schema?.arguments.length, `${name}: arguments of ${node.kind}`);
      t.equal(node.outputs.length, node.schema?.returns.length, `${name}: results of ${node.kind}`);
    }
    // Weights print as <Tensor>, which nobody can read back.
    const text = printGraph(graph, { sourceRanges: false });
    if (text.includes("<Tensor>")) continue;
    const again = parseIR(text);
    t.strictSame(operators(again), operators(graph), name);
    // Numbers of values without names start anew.
    const printed = printGraph(again, { sourceRanges: false });
    t.equal(printGraph(parseIR(printed), { sourceRanges: false }), printed, name);
  }
});

t.test("lists, results and None", async (t) => {
  t.strictSame(body(load("outputs")), [
    "%1 : int = prim::Constant[value=1]()",
    "%2 : int = prim::Constant[value=2]()",
    "%3 : int[] = prim::ListConstruct(%1, %2)",
    "%4 : Tensor[] = aten::split_with_sizes(%x, %3, %1)",
    "%getitem : FloatTensor, %getitem_1 : FloatTensor = prim::ListUnpack(%4)",
    "%7 : bool = prim::Constant[value=0]()",
    "%getitem_2 : FloatTensor, %getitem_3 : LongTensor = aten::max(%x, %1, %7)",
    "%10 : Tensor[] = aten::chunk(%x, %2, %2)",
    "%getitem_4 : FloatTensor, %getitem_5 : FloatTensor = prim::ListUnpack(%10)",
    "return (%getitem, %getitem_1, %getitem_4, %getitem_2, %getitem_3)",
  ]);
});

t.test("dtypes, layouts, memory formats, devices and infinities are TorchScript's", async (t) => {
  const lines = body(load("arguments"));
  for (const line of [
    "%7 : Tensor?[] = prim::ListConstruct(%6, %idx)",
    "%to : HalfTensor = aten::to(%unsqueeze, %10, %11, %11, %6)",
    "%10 : int = prim::Constant[value=5]()",
    "%to_1 : FloatTensor = aten::to(%x, %13, %14, %15, %6, %11, %11, %16)",
    "%14 : int = prim::Constant[value=0]()",
    '%15 : Device = prim::Constant[value="cpu"]()',
    "%16 : int = prim::Constant[value=2]()",
    "%21 : float = prim::Constant[value=inf]()",
  ]) {
    t.ok(lines.includes(line), line);
  }
});

t.test("arithmetic on sizes", async (t) => {
  const graph = load("symbolic");
  t.strictSame(
    operators(graph).filter((name) => !name.startsWith("prim::List")),
    [
      "aten::size.int",
      "aten::reshape",
      "aten::add.int",
      "aten::arange",
      "aten::remainder.int",
      "aten::add.int",
      "prim::max.int",
      "aten::new_zeros",
      "aten::div.Scalar",
    ],
    "and what nobody uses is gone",
  );
  t.strictSame(operators(load("item")), ["aten::Float.Tensor", "aten::mul.float", "aten::mul.Scalar"]);
  t.notOk(
    operators(load("data_dependent")).some((name) => /assert|size|ge|le$/.test(name)),
    "assertions are dropped",
  );
});

t.test("control flow", async (t) => {
  t.strictSame(body(load("cond")), [
    "%2 : NoneType = prim::Constant()",
    "%sum_1 : FloatTensor = aten::sum(%x, %2)",
    "%4 : int = prim::Constant[value=0]()",
    "%gt : BoolTensor = aten::gt(%sum_1, %4)",
    "%6 : bool = aten::Bool(%gt)",
    "%getitem : FloatTensor = prim::If(%6)",
    "block0():",
    "%7 : int = prim::Constant[value=1]()",
    "%add : FloatTensor = aten::add(%x, %y, %7)",
    "-> (%add)",
    "block1():",
    "%9 : int = prim::Constant[value=2]()",
    "%mul : FloatTensor = aten::mul(%y, %9)",
    "%11 : int = prim::Constant[value=1]()",
    "%sub : FloatTensor = aten::sub(%x, %mul, %11)",
    "-> (%sub)",
    "return (%getitem)",
  ]);
  t.strictSame(body(load("while_loop")), [
    "%2 : int = prim::Constant[value=9223372036854775807]()",
    "%3 : int = prim::Constant[value=5]()",
    "%lt : BoolTensor = aten::lt(%n, %3)",
    "%5 : bool = aten::Bool(%lt)",
    "%getitem : LongTensor, %getitem_1 : FloatTensor = prim::Loop(%2, %5, %n, %x)",
    "block0(%i : int, %7 : LongTensor, %8 : FloatTensor):",
    "%9 : int = prim::Constant[value=1]()",
    "%add : LongTensor = aten::add(%7, %9, %9)",
    "%11 : int = prim::Constant[value=2]()",
    "%mul : FloatTensor = aten::mul(%8, %11)",
    "%lt.1 : BoolTensor = aten::lt(%add, %3)",
    "%14 : bool = aten::Bool(%lt.1)",
    "-> (%14, %add, %mul)",
    "return (%getitem, %getitem_1)",
  ]);
  t.equal(operators(load("scan")).filter((name) => name === "aten::select.int").length, 4, "scan is unrolled");
  t.equal(operators(load("map")).at(-1), "aten::stack");
  t.strictSame(operators(load("no_grad")), ["aten::mul.Scalar", "aten::add.Scalar"], "no_grad is inlined");
});

t.test("autocast becomes casts", async (t) => {
  t.strictSame(operators(load("autocast")), [
    "aten::to.dtype",
    "aten::to.dtype",
    "aten::matmul",
    "aten::to.dtype",
    "prim::ListConstruct",
    "aten::cat",
    "aten::to.dtype",
    "aten::add.Scalar",
  ]);
});

t.test("an operator of the user's own gets a schema from its call", async (t) => {
  const [node] = [...load("custom_op").nodes()].filter(({ kind }) => kind === "tests::scale");
  t.strictSame(
    node?.schema?.arguments.map(({ name, spelling }) => `${spelling} ${name}`),
    ["Tensor x", "float by"],
  );
  t.equal(node?.schema?.returns[0]?.type, TensorType);
});

t.test("what such an operator writes to is not known, so no pass takes it out", async (t) => {
  const graph = load("custom_write");
  t.equal(eliminateDeadCode(graph), false);
  t.ok(operators(graph).includes("tests::scale_"));
  const program = loadExported(fileURLToPath(new URL("custom_write.pt2", FIXTURES)));
  t.throws(() => lower(program, "forward"), {
    code: "unsupported",
    message: /whether tests::scale_ writes to its inputs/,
  });
});

t.test("dtypes and strides tell what is a copy of an input", async (t) => {
  const program = loadExported(fileURLToPath(new URL("copies.pt2", FIXTURES)));
  const { graph, removed } = lower(program, "forward");
  t.equal(graph.outputs.at(-1), graph.inputs[0], "the input is as it was");
  t.notMatch(
    removed.map(({ kind }) => kind),
    ["write to an input"],
  );
});

t.test("state: refused by name and line, or returned", async (t) => {
  const refusal = (name: string): string => {
    try {
      load(name);
    } catch (error) {
      if (error instanceof TrtorchError)
        return `${error.code} ${error.location?.file}:${error.location?.line} ${error.message}`;
    }
    return "nothing wrong";
  };
  const state = "and an engine keeps nothing between runs";
  t.match(refusal("buffer_mutation"), /^unsupported make.py:\d+ the program writes to its buffer "count", /);
  t.match(refusal("buffer_mutation_core"), /^unsupported make.py:\d+ the program writes to its buffer "count", /);
  t.match(
    refusal("input_mutation"),
    new RegExp(`^unsupported make.py:\\d+ the program writes to its input "x", ${state}`),
    "through a view",
  );
  t.match(refusal("batch_norm_train"), /writes to its buffer "1.num_batches_tracked"/);
  for (const name of ["buffer_mutation", "buffer_mutation_core"]) {
    const program = loadExported(fileURLToPath(new URL(`${name}.pt2`, FIXTURES)), { mutatedBuffers: "outputs" });
    t.strictSame(program.signature?.outputs, ["output_0", "output_1", "buffer_count"]);
    t.equal(program.method(program.typeName, "forward").outputs.length, 3);
  }
  for (const name of ["buffer_mutation", "buffer_mutation_core"]) {
    const file = fileURLToPath(new URL(`${name}.pt2`, FIXTURES));
    const program = loadExported(file, { mutatedBuffers: "inputs_and_outputs" });
    t.equal(program.signature?.inputs.at(-1), "buffer_count");
    t.equal(program.signature?.outputs.at(-1), "buffer_count_out");
    t.match(program.inputs("forward")?.at(-1), { name: "buffer_count", isState: true });
    const graph = program.method(program.typeName, "forward");
    t.equal(graph.inputs.length, program.signature?.inputs.length);
    t.ok(graph.inputs.at(-1)?.hasUses, "the run starts from what it is given");
  }
  t.equal(load("batch_norm_train", { mutatedBuffers: "outputs" }).outputs.length, 2);
  t.doesNotThrow(() => load("in_place"), "writes to what the program itself made are its own business");
});
