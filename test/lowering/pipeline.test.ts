import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { ObjectValue } from "../../src/ir/constant.js";
import { allNodes, constantOf, type Graph, type Node, type Value } from "../../src/ir/graph.js";
import type { Program } from "../../src/ir/module.js";
import { parseIR } from "../../src/ir/parser.js";
import { Tensor } from "../../src/ir/tensor.js";
import { verify } from "../../src/ir/verifier.js";
import { className } from "../../src/lowering/inline-calls.js";
import { lower } from "../../src/lowering/pipeline.js";
import { loadTorchScript } from "../../src/torchscript/index.js";
import { TrtorchError } from "../../src/util/errors.js";
import { nodesOf, python, runPython } from "./harness.js";

/** A program of graphs in text, by class and method. */
function program(root: ObjectValue, methods: Readonly<Record<string, string>>): Program {
  const graph = (name: string): Graph => {
    const text = methods[name];
    if (text === undefined) throw new Error(`no ${name}`);
    return parseIR(text);
  };
  return {
    file: "test.ts",
    format: "torchscript",
    typeName: root.typeName,
    root,
    methodNames: ["forward"],
    method: (typeName, name) => graph(`${typeName}.${name}`),
    function: graph,
    inputs: () => undefined,
  };
}

const weight = Tensor.of("float32", [2], [1, 2]);

t.test("attributes that hold the same are one constant; 0.0 and -0.0 are not the same", async (t) => {
  const attributes = { a: 0, b: -0, c: 0, one: ["x,y"], two: ["x", "y"], also: ["x,y"] };
  const root = new ObjectValue("__torch__.Net", new Map(Object.entries(attributes)));
  const read = (name: string): string =>
    `  %${name} : ${name.length > 1 ? "str[]" : "float"} = prim::GetAttr[name="${name}"](%self)\n`;
  const { graph } = lower(
    program(root, {
      "__torch__.Net.forward": `graph(%self : __torch__.Net):
${Object.keys(attributes).map(read).join("")}  return (%a, %b, %c, %one, %two, %also)`,
    }),
    "forward",
  );
  const [a, b, c, one, two, also] = graph.outputs as Value[];
  t.ok(a === c && a !== b);
  t.ok(Object.is(constantOf(b as Value), -0));
  t.ok(one === also && one !== two);
});

t.test("calls are inlined with where they come from", async (t) => {
  const inner = new ObjectValue("__torch__.net.___torch_mangle_1.Block", new Map([["weight", weight]]));
  const root = new ObjectValue("__torch__.net.Net", new Map([["block", inner]]));
  const { graph } = lower(
    program(root, {
      "__torch__.net.Net.forward": `graph(%self : __torch__.net.Net, %x : Tensor):
        %block : InterfaceType<Iface> = prim::GetAttr[name="block"](%self)
        %y : Tensor = prim::CallMethod[name="forward"](%block, %x) # net.py:20:4
        %z : Tensor = aten::relu(%y) # net.py:21:4
        return (%z)`,
      "__torch__.net.___torch_mangle_1.Block.forward": `graph(%self : __torch__.net.___torch_mangle_1.Block, %x : Tensor):
        %f : Function = prim::Constant[name="scale"]()
        %w : Tensor = prim::GetAttr[name="weight"](%self)
        %y : Tensor = prim::CallFunction(%f, %x, %w) # net.py:10:4
        return (%y)`,
      scale: "graph(%x : Tensor, %w : Tensor):\n  %y : Tensor = aten::mul(%x, %w) # ops.py:3:4\n  return (%y)",
    }),
    "forward",
  );
  const [, mul, relu] = [...graph.nodes()] as [Node, Node, Node];
  t.equal(mul.kind, "aten::mul");
  t.equal(constantOf(mul.input(1)), weight, "the tensor itself");
  t.equal(mul.input(1).debugName, "self.block.weight");
  t.strictSame(mul.sourceRange, {
    file: "ops.py",
    line: 3,
    module: "block",
    moduleClass: "net.Block",
    callers: [
      { file: "net.py", line: 10 },
      { file: "net.py", line: 20 },
    ],
  });
  t.strictSame(relu.sourceRange, { file: "net.py", line: 21, moduleClass: "net.Net" });
  t.equal(graph.inputs.length, 1, "self is gone");
  t.equal(className("__torch__.a.___torch_mangle_12.B"), "a.B");
});

t.test("a method that calls itself is an error", async (t) => {
  const root = new ObjectValue("__torch__.M");
  const text = `graph(%self : __torch__.M, %x : Tensor):
    %y : Tensor = prim::CallMethod[name="forward"](%self, %x)
    return (%y)`;
  t.throws(() => lower(program(root, { "__torch__.M.forward": text }), "forward"), {
    code: "unsupported",
    message: /calls itself/,
  });
});

t.test("attributes are frozen, shared ones once, written ones followed", async (t) => {
  const root = new ObjectValue(
    "__torch__.M",
    new Map<string, Tensor | boolean | number | Tensor[]>([
      ["a", weight],
      ["b", weight],
      ["training", true],
      ["count", 1],
      ["list", [weight, Tensor.of("float32", [1], [5])]],
    ]),
  );
  const { graph, removed } = lower(
    program(root, {
      "__torch__.M.forward": `graph(%self : __torch__.M, %x : Tensor, %c : bool):
        %one : int = prim::Constant[value=1]()
        %a : Tensor = prim::GetAttr[name="a"](%self)
        %b : Tensor = prim::GetAttr[name="b"](%self)
        %ab : Tensor = aten::mul(%a, %b)
        %t : bool = prim::GetAttr[name="training"](%self)
        %n0 : int = prim::GetAttr[name="count"](%self)
        %n1 : int = aten::add(%n0, %one)
         = prim::SetAttr[name="count"](%self, %n1)
         = prim::If(%c)
          block0():
             = prim::SetAttr[name="count"](%self, %n0)
            -> ()
          block1():
            -> ()
        %n2 : int = prim::GetAttr[name="count"](%self)
        %l : Tensor[] = prim::GetAttr[name="list"](%self)
        %z : Tensor = aten::cat(%l, %n2)
        return (%ab, %t, %z)`,
    }),
    "forward",
  );
  verify(graph);
  t.strictSame(nodesOf(graph), [
    "%self.list : Tensor[] = prim::ListConstruct(<Tensor>, {5})",
    "%ab = aten::mul(<Tensor>, <Tensor>)",
    "%0 : int = prim::If(%c)",
    "  block0():",
    "    -> (1)",
    "  block1():",
    "    -> (2)",
    "%z = aten::cat(%self.list, %0)",
    "return (%ab, 0, %z)",
  ]);
  const tensors = [...graph.nodes()].filter(({ outputs }) => outputs[0] && constantOf(outputs[0]) instanceof Tensor);
  t.equal(tensors.length, 2, "the shared tensor is one constant");
  t.match(removed, [{ kind: "state write", count: 2, details: ["self.count"] }]);
});

t.test("what a later call would find again is refused, what it would not is dropped", async (t) => {
  const root = (): ObjectValue =>
    new ObjectValue(
      "__torch__.M",
      new Map<string, Tensor | boolean | null>([
        ["cache", Tensor.of("float32", [2], [1, 2])],
        ["none", null],
        ["training", true],
      ]),
    );
  const run = (body: string): string => {
    const text = `graph(%self : __torch__.M, %x : Tensor, %c : bool):
        %one : int = prim::Constant[value=1]()
        %false : bool = prim::Constant[value=0]()
        %cache : Tensor = prim::GetAttr[name="cache"](%self)
        ${body.replaceAll("\n", "\n        ")}`;
    try {
      lower(program(root(), { "__torch__.M.forward": text }), "forward");
    } catch (error) {
      if (error instanceof TrtorchError) return `${error.location?.file}:${error.location?.line} ${error.message}`;
      throw error;
    }
    return "dropped";
  };
  const refused = (what: string): string =>
    `m.py:7 the program writes to its ${what}, and an engine keeps nothing between runs`;
  const assign = '= prim::SetAttr[name="cache"](%self, %new) # m.py:7:1';
  const buffer = refused('buffer "cache"');
  t.equal(
    run(`%y : Tensor = aten::add(%x, %cache, %one)\n%new : Tensor = aten::neg(%x)\n ${assign}\nreturn (%y)`),
    buffer,
  );
  t.equal(run(`%new : Tensor = aten::neg(%x)\n ${assign}\nreturn (%new)`), "dropped", "written before it is read");
  t.equal(run(`%new : Tensor = aten::add(%cache, %one, %one)\n ${assign}\nreturn (%x)`), "dropped", "a counter");
  t.equal(run(`%y : Tensor = aten::add_(%cache, %x, %one) # m.py:7:1\nreturn (%y)`), buffer);
  t.equal(run(`%y : Tensor = aten::add_(%cache, %x, %one) # m.py:7:1\nreturn (%x)`), "dropped", "nobody reads it");
  t.equal(
    run(`%z : Tensor = aten::zero_(%cache)\n%y : Tensor = aten::add_(%z, %x, %one)\nreturn (%y)`),
    "dropped",
    "overwritten before it is read",
  );
  const inBranch = (condition: string, grown: string): string => `%t : bool = prim::GetAttr[name="training"](%self)
%n : int = aten::size(%x, %one)
 = prim::If(${condition})
  block0():
    %new : Tensor = ${grown}
     ${assign}
    -> ()
  block1():
    -> ()
%now : Tensor = prim::GetAttr[name="cache"](%self)
%y : Tensor = aten::add(%x, %now, %one)
return (%y)`;
  t.equal(run(inBranch("%t", "aten::neg(%x)")), "dropped", "an engine is in eval mode");
  t.equal(run(inBranch("%c", "aten::neg(%x)")), buffer);
  t.equal(run(inBranch("%c", "aten::mul(%cache, %n)")), buffer);
  t.equal(run(inBranch("%c", "aten::add(%n, %one)")), "dropped", "a table that grows with the sizes");
  t.equal(run("%y : Tensor = aten::relu_(%x) # m.py:7:1\nreturn (%y)"), refused('input "x"'));
  t.equal(
    run(`%old : Tensor? = prim::GetAttr[name="none"](%self)
 = prim::SetAttr[name="none"](%self, %x) # m.py:7:1
return (%x, %old)`),
    refused('buffer "none"'),
    "the first call would find nothing there",
  );
});

t.test("batch normalization goes into the convolution", async (t) => {
  const text = (convolution: string): string => `graph(%x : Tensor):
    %none : NoneType = prim::Constant()
    %f : bool = prim::Constant[value=0]()
    %eps : float = prim::Constant[value=0.5]()
    %one : int = prim::Constant[value=1]()
    %zero : int = prim::Constant[value=0]()
    %two : int = prim::Constant[value=2]()
    %i : int[] = prim::Constant[value=[1, 1]]()
    %o : int[] = prim::Constant[value=[0, 0]]()
    %w : Float(2, 2, 1, 1) = prim::Constant[value= 1 2 3 4 [ CPUFloatType{2,2,1,1} ]]()
    %g : Float(2) = prim::Constant[value= 2 3 [ CPUFloatType{2} ]]()
    %b : Float(2) = prim::Constant[value= 10 20 [ CPUFloatType{2} ]]()
    %m : Float(2) = prim::Constant[value= 1 2 [ CPUFloatType{2} ]]()
    %v : Float(2) = prim::Constant[value= 3.5 8.5 [ CPUFloatType{2} ]]()
    %y : Tensor = ${convolution}
    %n : Tensor = aten::batch_norm(%y, %g, %b, %m, %v, %f, %eps, %eps, %f)
    return (%n)`;
  const folded = (convolution: string): { weight: number[]; bias: number[]; kinds: string[] } => {
    const root = new ObjectValue("__torch__.M");
    const { graph } = lower(program(root, { "__torch__.M.forward": text(convolution) }), "forward");
    verify(graph);
    const nodes = [...allNodes(graph.block)].filter(({ kind }) => kind !== "prim::Constant");
    const numbers = (index: number): number[] => {
      const constant = constantOf((nodes[0] as Node).input(index));
      return constant instanceof Tensor ? [...constant.toNumbers()] : [];
    };
    return { weight: numbers(1), bias: numbers(2), kinds: nodes.map(({ kind }) => kind) };
  };
  // scale = [2 / sqrt(4), 3 / sqrt(9)] = [1, 1], so that only the halves below tell the layouts apart.
  t.strictSame(folded("aten::conv2d(%x, %w, %none, %i, %o, %i, %one)"), {
    weight: [1, 2, 3, 4],
    bias: [9, 18],
    kinds: ["aten::conv2d"],
  });
  const halved = (convolution: string): number[] => {
    const root = new ObjectValue("__torch__.M");
    const changed = text(convolution).replace(
      "%g : Float(2) = prim::Constant[value= 2 3",
      "%g : Float(2) = prim::Constant[value= 1 3",
    );
    const { graph } = lower(program(root, { "__torch__.M.forward": changed }), "forward");
    const node = [...graph.nodes()].find(({ kind }) => kind.includes("conv")) as Node;
    return [...(constantOf(node.input(1)) as Tensor).toNumbers()];
  };
  t.strictSame(halved("aten::conv2d(%x, %w, %none, %i, %o, %i, %one)"), [0.5, 1, 3, 4], "a row is an output channel");
  t.strictSame(
    halved("aten::conv_transpose2d(%x, %w, %none, %i, %o, %o, %one, %i)"),
    [0.5, 2, 1.5, 4],
    "transposed: a column is",
  );
  const used = folded(
    "aten::conv2d(%x, %w, %none, %i, %o, %i, %one)\n    %r : Tensor = aten::batch_norm(%y, %g, %b, %m, %v, %f, %eps, %eps, %f)\n    %q : Tensor = aten::add(%y, %r, %one)",
  );
  t.ok(used.kinds.includes("aten::conv2d"));
});

const models = new URL("../../../shared/models/", import.meta.url);

for (const name of ["lenet/trace.ts", "lenet/script.ts", "squeezenet1_1/trace.ts", "bert_tiny/trace.ts"]) {
  const file = fileURLToPath(new URL(name, models));
  t.test(name, { skip: !existsSync(file) && "the model is not there" }, async (t) => {
    let frozen: string[] = [];
    const dumped: string[] = [];
    const { graph } = lower(loadTorchScript(file), "forward", {
      dumpIr: (pass, graph) => {
        dumped.push(pass);
        verify(graph);
        // PyTorch keeps what changes nothing, and folds the slices of constant position ids.
        if (!dumped.includes("remove-no-ops")) frozen = operators(graph, (node) => !isSliceOfConstant(node));
      },
    });
    t.ok(dumped.includes("inline-calls") && dumped.includes("freeze"));
    t.notOk(operators(graph).some((kind) => kind.startsWith("prim::Call") || kind === "prim::GetAttr"));
    await t.test(
      "has the operators of PyTorch's frozen graph, in its order",
      { skip: python === undefined && "TRTORCH_TEST_PYTHON is not set" },
      async (t) => {
        const script = fileURLToPath(new URL("../fixtures/lowering/frozen-operators.py", import.meta.url));
        // We have made writes in place functional by then.
        const wanted = runPython([script, file]).trim().split("\n");
        t.strictSame(
          frozen,
          wanted.map((kind) => kind.replace(/(?<!_)_$/, "")),
        );
      },
    );
  });
}

function operators(graph: Graph, counts: (node: Node) => boolean = () => true): string[] {
  const nodes = [...allNodes(graph.block)].filter((node) => node.kind !== "prim::Constant" && counts(node));
  return nodes.map(({ kind }) => kind);
}

/** A slice whose tensor and bounds are all known. */
function isSliceOfConstant(node: Node): boolean {
  const isKnown = (value: Value): boolean => value.node.kind === "prim::Constant" || isSliceOfConstant(value.node);
  return node.kind === "aten::slice" && node.inputs.every(isKnown);
}
