import { readdirSync } from "node:fs";
import t from "tap";
import { EnumValue, ObjectValue } from "../../src/ir/constant.js";
import { allNodes, type Graph } from "../../src/ir/graph.js";
import type { Program } from "../../src/ir/module.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { loadTorchScript } from "../../src/torchscript/index.js";
import { operators } from "./compile.js";

const models = new URL("../fixtures/models/", import.meta.url);
const open = (name: string): Program => loadTorchScript(new URL(`${name}.ts`, models).pathname);
const forward = (name: string): string[] => {
  const program = open(`torchscript_forms/${name}`);
  return operators(program.method(program.typeName, "forward"));
};

/** The graphs of a program's methods and of all that they call. */
function graphs(program: Program): Map<string, Graph> {
  const found = new Map<string, Graph>();
  const visit = (name: string, graph: Graph): void => {
    if (found.has(name)) return;
    found.set(name, graph);
    for (const node of allNodes(graph.block)) {
      const type = node.inputs[0]?.type;
      if (node.kind === "prim::CallFunction" && type?.kind === "FunctionType") {
        visit(type.name, program.function(type.name));
      } else if (
        node.kind === "prim::CallMethod" &&
        type?.kind === "ClassType" &&
        !type.name.includes("torch.classes")
      ) {
        const method = node.string("name");
        visit(`${type.name}.${method}`, program.method(type.name, method));
      }
    }
  };
  for (const method of program.methodNames) visit(method, program.method(program.typeName, method));
  return found;
}

const forms = readdirSync(new URL("torchscript_forms/", models)).map(
  (file) => `torchscript_forms/${file.slice(0, -3)}`,
);
const shared = [
  "lenet/trace",
  "lenet/script",
  "squeezenet1_1/trace",
  "bert_tiny/trace",
  "wrapped_by_torch_tensorrt_2.11/wrapped",
];

t.test("every method of every archive compiles to a graph that reads back as it was printed", async (t) => {
  t.equal(forms.length, 26);
  for (const name of [...shared, ...forms]) {
    const found = graphs(open(name));
    for (const [method, graph] of found) {
      const text = printGraph(graph, { sourceRanges: false });
      const again = parseIR(text);
      t.strictSame(kinds(again), kinds(graph), `${name} ${method}`);
      for (const node of allNodes(graph.block)) {
        if (node.kind.startsWith("aten::") && node.schema === undefined) t.fail(`${name}: ${node.kind} has no schema`);
        if (node.sourceRange === undefined) t.fail(`${name}: ${node.kind} comes from nowhere`);
      }
    }
  }
});

function kinds(graph: Graph): string[] {
  return [...allNodes(graph.block)].map((node) => `${node.kind} ${node.outputs.length}`);
}

t.test("an attribute called like a keyword", async (t) => {
  const { root } = open("torchscript_forms/module_lists_dicts");
  t.type((root.attributes.get("d") as ObjectValue).attributes.get("class"), ObjectValue);
  t.strictSame(forward("module_lists_dicts").filter((kind) => kind === "prim::CallMethod").length, 6);
});

t.test("an interface's methods are those of the object that is there", async (t) => {
  const program = open("torchscript_forms/module_interface");
  const graph = program.method(program.typeName, "forward");
  t.strictSame(
    [...graph.nodes()].filter((node) => node.kind === "prim::GetAttr").map((node) => printedType(node.output())),
    ["__torch__.ImplB", "__torch__.ImplA"],
  );
});

function printedType(value: { type: { kind: string; name?: string } }): string {
  return value.type.name ?? value.type.kind;
}

t.test("forks are calls in place", async (t) => {
  t.strictSame(forward("fork_wait"), ["aten::relu", "aten::add.Scalar"]);
});

t.test("the archive's version decides what div, full and linspace mean", async (t) => {
  t.strictSame(
    forward("div_version_bump").filter((kind) => kind.startsWith("aten::div")),
    ["aten::div.Tensor", "aten::div.Tensor_mode"],
  );
});

t.test("states that __setstate__ unpacks, Enum members with their names", async (t) => {
  const conv = open("torchscript_forms/static_quant_conv").root.attributes.get("1") as ObjectValue;
  t.equal(conv.attributes.get("in_channels"), 3);
  t.equal(conv.attributes.get("padding_mode"), "zeros");
  t.notOk(conv.attributes.has("__setstate__"));
  const packed = conv.attributes.get("_packed_params") as ObjectValue;
  t.equal(packed.typeName, "__torch__.torch.classes.quantized.Conv2dPackedParamsBase");
  t.strictSame([...packed.attributes.keys()], ["weight", "bias", "stride", "padding", "dilation", "groups"]);
  t.strictSame(packed.attributes.get("stride"), [1, 1]);
  t.strictSame(
    open("torchscript_forms/enum_attr").root.attributes.get("c"),
    new EnumValue("__torch__.Color", "GREEN", 2),
  );
});

t.test("nodes know the user's line", async (t) => {
  const program = open("torchscript_forms/control_flow");
  const loop = [...program.method(program.typeName, "forward").nodes()].find((node) => node.kind === "prim::Loop");
  t.strictSame(loop?.sourceRange, {
    file: "examples/ts/forms.py",
    line: 114,
    text: "            for i in range(n): x = x * 2",
  });
  const lenet = open("lenet/trace");
  const relu = [...lenet.method("__torch__.FE", "forward").nodes()].find((node) => node.kind === "aten::relu");
  t.equal(relu?.sourceRange?.file, "examples/models/make_models.py");
  t.equal(relu?.sourceRange?.line, 34);
});

t.test("what an archive does not have", async (t) => {
  const program = open("lenet/trace");
  t.throws(() => program.method(program.typeName, "backward"), {
    code: "archive",
    message: "__torch__.LeNet has no method 'backward'",
    hint: "It has 'forward'.",
  });
  t.throws(() => program.function("__torch__.f"), { code: "archive" });
  t.equal(program.inputs("forward"), undefined);
});
