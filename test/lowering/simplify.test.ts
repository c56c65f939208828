import t from "tap";
import type { Constant } from "../../src/ir/constant.js";
import { constantOf, type Graph } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { flattenDicts } from "../../src/lowering/flatten-dicts.js";
import { flattenLists } from "../../src/lowering/flatten-lists.js";
import { flattenObjects } from "../../src/lowering/flatten-objects.js";
import { flattenTuples } from "../../src/lowering/flatten-tuples.js";
import { foldConstants } from "../../src/lowering/fold-constants.js";
import { mergeDuplicates } from "../../src/lowering/merge-duplicates.js";
import { removeExceptions } from "../../src/lowering/remove-exceptions.js";
import { removeMessages } from "../../src/lowering/remove-messages.js";
import { removeNoOps } from "../../src/lowering/remove-no-ops.js";
import { removeOptionals } from "../../src/lowering/remove-optionals.js";
import { removeRoundTrips } from "../../src/lowering/remove-round-trips.js";
import { LoweringReport } from "../../src/lowering/report.js";
import { resolveBranches } from "../../src/lowering/resolve-branches.js";
import { unrollLoops } from "../../src/lowering/unroll-loops.js";
import { after } from "./harness.js";

/** The constant that a graph without inputs returns. */
function folded(body: string): Constant | undefined {
  const graph = parseIR(`graph():\n${body}\n  return (%r)`);
  foldConstants(graph);
  const [output] = graph.outputs;
  return output === undefined ? undefined : constantOf(output);
}

const ints = "%a : int = prim::Constant[value=-7]()\n  %b : int = prim::Constant[value=2]()\n ";
const strings = '%s : str = prim::Constant[value="a{}b"]()\n  %u : str = prim::Constant[value="x"]()\n ';
const list = "%l : int[] = prim::Constant[value=[3, 1, 2]]()\n  %i : int = prim::Constant[value=-1]()\n ";

t.test("fold-constants computes as Python does", async (t) => {
  t.equal(folded(`${ints} %r : int = aten::floordiv(%a, %b)`), -4);
  t.equal(folded(`${ints} %r : int = aten::remainder(%a, %b)`), 1);
  t.equal(folded(`${ints} %r : float = aten::div(%a, %b)`), -3.5);
  t.equal(folded(`${ints} %r : bool = aten::lt(%a, %b)`), true);
  t.equal(folded(`${ints} %r : int = prim::max(%a, %b)`), 2);
  t.equal(folded(`${ints} %r : str = aten::str(%a)`), "-7");
  t.equal(folded(`%f : float = prim::Constant[value=2.5]()\n  %r : float = aten::round(%f)`), 2);
  t.equal(folded(`%f : float = prim::Constant[value=-2.5]()\n  %r : int = aten::Int(%f)`), -2);
  t.equal(folded(`${strings} %r : str = aten::format(%s, %u)`), "axb");
  t.equal(folded(`${strings} %r : str = aten::add(%s, %u)`), "a{}bx");
  t.equal(folded(`${list} %r : int = aten::__getitem__(%l, %i)`), 2);
  t.equal(folded(`${list} %r : int = aten::len(%l)`), 3);
  t.equal(folded(`${list} %r : bool = aten::__contains__(%l, %i)`), false);
  t.strictSame(folded(`${ints} %r : int[] = prim::ListConstruct(%a, %b)`), [-7, 2]);
  t.equal(folded(`${ints} %r : int = aten::__range_length(%a, %b, %b)`), 5);
  const wide =
    "%a : int = prim::Constant[value=3000000000]()\n  %b : int = prim::Constant[value=4294967295]()\n" +
    "  %s : int = prim::Constant[value=4]()\n  %h : int = prim::Constant[value=62]()\n ";
  t.equal(folded(`${wide} %r : int = aten::__and__(%a, %b)`), 3000000000, "of 64 bits");
  t.equal(folded(`${wide} %r : int = aten::__or__(%a, %b)`), 4294967295);
  t.equal(folded(`${wide} %r : int = aten::__xor__(%a, %b)`), 1294967295);
  t.equal(folded(`${wide} %r : int = aten::__lshift__(%a, %s)`), 48000000000);
  t.equal(folded(`${wide} %r : int = aten::__rshift__(%a, %s)`), 187500000);
  t.equal(folded(`${wide} %r : int = aten::__lshift__(%s, %h)`), 0, "what does not fit falls out");
  t.equal(folded(`${ints} %r : int = aten::__rshift__(%a, %b)`), -2);
  t.equal(folded(`${ints} %r : int = aten::__lshift__(%b, %a)`), undefined, "C++ leaves this open");
  const zero = "%z : int = prim::Constant[value=0]()\n  %r : int = aten::floordiv(%z, %z)";
  t.equal(folded(zero), undefined, "what would raise stays");
});

t.test("fold-constants reads types", async (t) => {
  const asks = (type: string, question: string): string[] =>
    after(
      `graph(%x : ${type}):\n  %n : NoneType = prim::Constant()\n  %r : bool = ${question}\n  return (%r)`,
      foldConstants,
    );
  t.strictSame(asks("Tensor", "aten::__is__(%x, %n)"), ["return (0)"]);
  t.strictSame(asks("Tensor", "aten::__isnot__(%x, %n)"), ["return (1)"]);
  t.match(asks("Tensor?", "aten::__is__(%x, %n)").join(), "aten::__is__");
  t.strictSame(asks("int[]", "prim::isinstance[types=[list]](%x)"), ["return (1)"]);
  t.strictSame(asks("Tensor", "prim::isinstance[types=[int, float]](%x)"), ["return (0)"]);
  t.match(asks("Any", "prim::isinstance[types=[int]](%x)").join(), "prim::isinstance");
  t.strictSame(asks("Tensor", "prim::requires_grad(%x)"), ["return (0)"]);
});

t.test("fold-constants leaves a list alone that is written to", async (t) => {
  const text = `graph(%x : int):
      %a : int = prim::Constant[value=1]()
      %l : int[] = prim::ListConstruct(%a)
      %m : int[] = aten::append(%l, %x)
      %n : int = aten::len(%l)
      return (%l, %n)`;
  t.match(after(text, foldConstants).join("\n"), "prim::ListConstruct(1)");
});

t.test("resolve-branches takes the known branch", async (t) => {
  const text = (condition: number): string => `graph(%x : Tensor):
      %c : bool = prim::Constant[value=${condition}]()
      %y : Tensor = prim::If(%c)
        block0():
          %a : Tensor = aten::relu(%x)
          %b : Tensor = prim::If(%c)
            block0():
              -> (%a)
            block1():
              -> (%x)
          -> (%b)
        block1():
          %d : Tensor = aten::neg(%x)
          -> (%d)
      return (%y)`;
  t.strictSame(after(text(1), resolveBranches), ["%a = aten::relu(%x)", "return (%a)"]);
  t.strictSame(after(text(0), resolveBranches), ["%d = aten::neg(%x)", "return (%d)"]);
});

t.test("resolve-branches sees that both branches give the same", async (t) => {
  const text = `graph(%c : bool):
      %r : int = prim::If(%c)
        block0():
          %a : int = prim::Constant[value=1]()
          -> (%a)
        block1():
          %b : int = prim::Constant[value=1]()
          -> (%b)
      return (%r)`;
  t.strictSame(after(text, resolveBranches), ["return (1)"]);
  t.match(
    after(text.replace("%b : int = prim::Constant[value=1]", "%b : int = prim::Constant[value=2]"), resolveBranches),
    {
      0: /prim::If/,
    },
  );
});

t.test("remove-exceptions", async (t) => {
  const report = new LoweringReport();
  const text = `graph(%x : Tensor, %c : bool):
      %m : str = prim::Constant[value="expected 4D input (got {}D input)"]()
      %k : str = prim::Constant[value="builtins.ValueError"]()
      %y : Tensor = prim::If(%c)
        block0():
          %d : int = aten::dim(%x)
          %s : str = aten::format(%m, %d)
           = prim::RaiseException(%s, %k)
          %u : Tensor = prim::Uninitialized()
          -> (%u)
        block1():
          %r : Tensor = aten::relu(%x)
          -> (%r)
      return (%y)`;
  t.strictSame(
    after(text, (graph) => removeExceptions(graph, report)),
    ["%r = aten::relu(%x)", "return (%r)"],
  );
  t.match(report.removals, [
    { pass: "remove-exceptions", kind: "exception", count: 1, details: ["expected 4D input (got {}D input)"] },
  ]);
  const always = 'graph(%x):\n  %m : str = prim::Constant[value="no"]()\n   = prim::RaiseException(%m)\n  return (%x)';
  t.throws(() => after(always, (graph) => removeExceptions(graph, report)), {
    code: "unsupported",
    message: /raises an exception for every input: no/,
  });
});

t.test("unroll-loops", async (t) => {
  const counted = (trips: string): string => `graph(%x : Tensor, %n : int):
      %t : bool = prim::Constant[value=1]()
      %three : int = prim::Constant[value=3]()
      %y : Tensor = prim::Loop(${trips}, %t, %x)
        block0(%i : int, %c : Tensor):
          %d : Tensor = aten::add(%c, %i, %i)
          -> (%t, %d)
      return (%y)`;
  t.strictSame(
    after(counted("%three"), (graph) => unrollLoops(graph, { nodes: 100 })),
    ["%d = aten::add(%x, 0, 0)", "%d.1 = aten::add(%d, 1, 1)", "%d.2 = aten::add(%d.1, 2, 2)", "return (%d.2)"],
  );
  t.strictSame(
    after(
      counted("%three").replace("value=3", "value=-3").replace("%t,", "%n,").replace("%n : int", "%n : bool"),
      (graph) => unrollLoops(graph, { nodes: 100 }),
    ),
    ["return (%x)"],
    "a count below 0 is none, whatever the condition",
  );
  t.match(after(counted("%n"), (graph) => unrollLoops(graph, { nodes: 100 })).join(), "prim::Loop");
  t.match(after(counted("%three"), (graph) => unrollLoops(graph, { nodes: 5 })).join(), "prim::Loop", "over budget");
  const conditional = `graph(%x : Tensor):
      %max : int = prim::Constant[value=9223372036854775807]()
      %t : bool = prim::Constant[value=1]()
      %one : int = prim::Constant[value=1]()
      %five : int = prim::Constant[value=5]()
      %y : Tensor, %k : int = prim::Loop(%max, %t, %x, %one)
        block0(%i : int, %c : Tensor, %j : int):
          %d : Tensor = aten::relu(%c)
          %next : int = aten::add(%j, %j)
          %more : bool = aten::lt(%next, %five)
          -> (%more, %d, %next)
      return (%y)`;
  const lines = after(conditional, (graph) => unrollLoops(graph, { nodes: 100 }));
  t.equal(lines.filter((line) => line.includes("aten::relu")).length, 3, "1, 2, 4 and then 8");
});

t.test("flatten-lists", async (t) => {
  const text = `graph(%x : Tensor, %y : Tensor):
      %zero : int = prim::Constant[value=0]()
      %one : int = prim::Constant[value=1]()
      %l : Tensor[] = prim::ListConstruct(%x)
      %a : Tensor[] = aten::append(%l, %y)
      %n : int = aten::len(%l)
      %last : Tensor = aten::__getitem__(%l, %n)
      %first : Tensor = aten::pop(%l, %zero)
      %z : Tensor = aten::cat(%l, %zero)
      %b : Tensor[] = aten::insert(%l, %zero, %z)
      return (%n, %first, %l)`.replace("%b : Tensor[] = aten::insert", " = aten::insert");
  t.strictSame(after(text, flattenLists), [
    "%l : Tensor[] = prim::ListConstruct(%y)",
    "%z = aten::cat(%l, 0)",
    "%l.1 : Tensor[] = prim::ListConstruct(%z, %y)",
    "return (2, %x, %l.1)",
  ]);
  const unpack = `graph(%x : Tensor, %y : Tensor):
      %one : int = prim::Constant[value=1]()
      %n : NoneType = prim::Constant()
      %l : Tensor[] = prim::ListConstruct(%x, %y, %x)
      %s : Tensor[] = aten::slice(%l, %one, %n, %one)
      %a : Tensor, %b : Tensor = prim::ListUnpack(%s)
      return (%a, %b)`;
  t.strictSame(
    after(unpack, (graph) => {
      while (flattenLists(graph));
    }),
    ["return (%y, %x)"],
  );
  t.match(
    after(
      unpack
        .replace("%n, %one)", "%n, %zero)")
        .replace("%n : None", "%zero : int = prim::Constant[value=0]()\n      %n : None"),
      flattenLists,
    ).join(),
    "aten::slice",
    "a step of 0 raises",
  );
});

t.test("flatten-lists leaves lists that are written in branches", async (t) => {
  const text = `graph(%x : Tensor, %c : bool):
      %l : Tensor[] = prim::ListConstruct(%x)
       = prim::If(%c)
        block0():
          %a : Tensor[] = aten::append(%l, %x)
          -> ()
        block1():
          -> ()
      %n : int = aten::len(%l)
      return (%n)`;
  t.match(after(text, flattenLists).join("\n"), "aten::len(%l)");
});

t.test("flatten-dicts", async (t) => {
  const text = `graph(%x : Tensor, %y : Tensor):
      %a : str = prim::Constant[value="a"]()
      %b : str = prim::Constant[value="b"]()
      %d : Dict(str, Tensor) = prim::DictConstruct(%a, %x)
       = aten::_set_item(%d, %b, %y)
      %has : bool = aten::__contains__(%d, %b)
      %v : Tensor = aten::__getitem__(%d, %b)
      %l : Tensor[] = aten::values(%d)
      return (%has, %v, %l, %d)`;
  t.strictSame(after(text, flattenDicts), [
    "%l : Tensor[] = prim::ListConstruct(%x, %y)",
    '%d : Dict(str, Tensor) = prim::DictConstruct("a", %x, "b", %y)',
    "return (1, %y, %l, %d)",
  ]);
});

t.test("flatten-dicts: what updates a dict is what the other one holds at that place", async (t) => {
  const text = `graph(%x : Tensor, %y : Tensor):
      %a : str = prim::Constant[value="a"]()
      %b : str = prim::Constant[value="b"]()
      %d : Dict(str, Tensor) = prim::DictConstruct(%b, %x)
      %e : Dict(str, Tensor) = prim::DictConstruct(%a, %x)
       = aten::_set_item(%e, %a, %y)
       = aten::update(%d, %e)
       = aten::_set_item(%e, %a, %x)
      %v : Tensor = aten::__getitem__(%d, %a)
      return (%v, %d, %e)`;
  const simplified = (graph: Graph): void => {
    while (flattenDicts(graph));
  };
  t.strictSame(after(text, simplified), [
    '%e : Dict(str, Tensor) = prim::DictConstruct("a", %x)',
    '%d : Dict(str, Tensor) = prim::DictConstruct("b", %x, "a", %y)',
    "return (%y, %d, %e)",
  ]);
  const numbers = `graph(%n : int):
      %a : str = prim::Constant[value="a"]()
      %d : Dict(str, int) = prim::DictConstruct()
      %e : Dict(str, int) = prim::DictConstruct(%a, %a.1)
       = aten::update(%d, %e)
      %v : int = aten::__getitem__(%d, %a)
      return (%v)`.replace("%d :", "%a.1 : int = prim::Constant[value=7]()\n      %d :");
  const folding = (graph: Graph): void => {
    foldConstants(graph);
    simplified(graph);
  };
  t.strictSame(after(numbers, folding), ["return (7)"], "a constant too");
});

t.test("flatten-objects", async (t) => {
  const text = `graph(%x : Tensor, %y : Tensor):
      %o : __torch__.a.Box = prim::CreateObject()
       = prim::SetAttr[name="v"](%o, %x)
      %first : Tensor = prim::GetAttr[name="v"](%o)
       = prim::SetAttr[name="v"](%o, %y)
      %second : Tensor = prim::GetAttr[name="v"](%o)
      return (%first, %second)`;
  t.strictSame(after(text, flattenObjects), ["return (%x, %y)"]);
});

t.test("flatten-tuples", async (t) => {
  const text = `graph(%x : Tensor, %n : int, %c : bool):
      %zero : int = prim::Constant[value=0]()
      %t : bool = prim::Constant[value=1]()
      %p : (Tensor, int) = prim::If(%c)
        block0():
          %q : (Tensor, int) = prim::TupleConstruct(%x, %n)
          -> (%q)
        block1():
          %y : Tensor = aten::relu(%x)
          %s : (Tensor, int) = prim::TupleConstruct(%y, %n)
          -> (%s)
      %a : Tensor = prim::TupleIndex(%p, %zero)
      %r : (Tensor, int) = prim::Loop(%n, %t, %p)
        block0(%i : int, %carried : (Tensor, int)):
          %v : Tensor, %k : int = prim::TupleUnpack(%carried)
          %w : Tensor = aten::add(%v, %i, %i)
          %next : (Tensor, int) = prim::TupleConstruct(%w, %k)
          -> (%t, %next)
      %o : Tensor, %m : int = prim::TupleUnpack(%r)
      return (%a, %o)`;
  const lines = after(text, (graph) => {
    while (flattenTuples(graph));
  });
  t.notMatch(lines.join("\n"), "Tuple");
  t.match(lines.join("\n"), "%o = prim::Loop(%n, 1, %a)");
  const kept = "graph(%p : (Tensor, int)):\n  %x : Tensor, %n : int = prim::TupleUnpack(%p)\n  return (%x)";
  t.match(after(kept, flattenTuples).join(), "TupleUnpack(%p)", "a tuple that the graph takes stays");
});

t.test("remove-optionals, remove-messages, remove-round-trips", async (t) => {
  t.strictSame(
    after("graph(%x : Tensor?):\n  %y : Tensor = prim::unchecked_cast(%x)\n  return (%y)", removeOptionals),
    ["return (%x)"],
  );
  const report = new LoweringReport();
  const text =
    'graph(%x):\n  %m : str = prim::Constant[value="careful"]()\n  %n : int = prim::Constant[value=2]()\n' +
    "   = aten::warn(%m, %n)\n   = prim::Print(%x)\n  return (%x)";
  t.strictSame(
    after(text, (graph) => removeMessages(graph, report)),
    ["return (%x)"],
  );
  t.strictSame(
    report.removals.map(({ kind, details }) => [kind, details]),
    [
      ["aten::warn", ["careful"]],
      ["prim::Print", []],
    ],
  );
  const traced = `graph(%x, %d : int):
      %s : int = aten::size(%x, %d)
      %t : Tensor = prim::NumToTensor(%s)
      %i : int = aten::Int(%t)
      %f : float = aten::Float(%t)
      return (%i, %f)`;
  t.strictSame(after(traced, removeRoundTrips), [
    "%s : int = aten::size(%x, %d)",
    "%t = prim::NumToTensor(%s)",
    "%f : float = aten::Float(%t)",
    "return (%s, %f)",
  ]);
});

t.test("remove-no-ops", async (t) => {
  const text = `graph(%x):
      %f : bool = prim::Constant[value=0]()
      %zero : int = prim::Constant[value=0]()
      %one : int = prim::Constant[value=1]()
      %end : int = prim::Constant[value=9223372036854775807]()
      %six : int = prim::Constant[value=6]()
      %n : NoneType = prim::Constant()
      %cpu : Device = prim::Constant[value="cpu"]()
      %a : Tensor = aten::contiguous(%x, %zero)
      %b : Tensor = aten::detach(%a)
      %c : Tensor = aten::slice(%b, %one, %zero, %end, %one)
      %d : Tensor = aten::to(%c, %cpu, %n, %f, %f)
      %e : Tensor = aten::to(%d, %six, %f, %f, %n)
      %g : Tensor = aten::slice(%e, %one, %one, %end, %one)
      return (%g)`;
  const report = new LoweringReport();
  t.strictSame(
    after(text, (graph) => removeNoOps(graph, report)),
    ["%e = aten::to(%x, 6, 0, 0, None)", "%g = aten::slice(%e, 1, 1, 9223372036854775807, 1)", "return (%g)"],
  );
  t.strictSame(
    report.removals.map(({ kind }) => kind),
    ["aten::contiguous", "aten::detach", "aten::slice", "aten::to"],
  );
});

t.test("merge-duplicates leaves alone what is random, or not known", async (t) => {
  const kinds = (body: string): number => after(`graph(%x):\n${body}\n  return (%p, %q)`, mergeDuplicates).length - 1;
  const twice = (call: string): string => `  %p : Tensor = ${call}\n  %q : Tensor = ${call}`;
  const numbers = `  %n : NoneType = prim::Constant()
  %a : float = prim::Constant[value=0.]()
  %b : float = prim::Constant[value=1.]()
`;
  t.equal(kinds(twice("aten::relu(%x)")), 1);
  t.equal(kinds(twice("tests::noise(%x)")), 2);
  for (const kind of ["uniform", "normal_functional", "cauchy", "log_normal"]) {
    t.equal(kinds(numbers + twice(`aten::${kind}(%x, %a, %b, %n)`)), 2, kind);
  }
  for (const kind of ["exponential", "geometric"]) {
    t.equal(kinds(numbers + twice(`aten::${kind}(%x, %b, %n)`)), 2, kind);
  }
});

t.test("operators that nobody knows stay, though nothing uses their results", async (t) => {
  const text = `graph(%x):
      %y : Tensor = tests::log(%x)
       = tests::tell(%x)
      %z : Tensor = aten::relu(%x)
      return (%x)`;
  t.strictSame(
    after(text, () => {}),
    ["%y = tests::log(%x)", " = tests::tell(%x)", "return (%x)"],
  );
});

t.test("merge-duplicates", async (t) => {
  const text = `graph(%x, %c : bool):
      %a : int = prim::Constant[value=1]()
      %b : int = prim::Constant[value=1]()
      %p : Tensor = aten::add(%x, %x, %a)
      %q : Tensor = aten::add(%x, %x, %b)
      %r : Tensor = prim::If(%c)
        block0():
          %s : Tensor = aten::add(%x, %x, %b)
          %u : Tensor = aten::relu(%s)
          -> (%u)
        block1():
          %v : Tensor = aten::relu(%p)
          -> (%v)
      %w : Tensor = aten::relu(%p)
      return (%p, %q, %r, %w)`;
  const lines = after(text, mergeDuplicates);
  t.equal(lines.filter((line) => line.includes("aten::add")).length, 1);
  t.equal(lines.filter((line) => line.includes("aten::relu")).length, 3, "a branch's value is not seen outside it");
  const list = `graph(%x : int):
      %l : int[] = prim::ListConstruct(%x)
      %m : int[] = prim::ListConstruct(%x)
      %n : int[] = aten::append(%l, %x)
      return (%l, %m)`;
  t.equal(
    after(list, mergeDuplicates).filter((line) => line.includes("ListConstruct")).length,
    2,
    "lists have identity",
  );
});
