import t from "tap";
import { constantOf } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { Tensor } from "../../src/ir/tensor.js";
import { importFunction } from "../../src/torchscript/importer.js";
import type { FunctionInfo } from "../../src/torchscript/unit.js";
import { compile, operators, unitOf } from "./compile.js";

/** The printed graph below its inputs; read back once, so that values are numbered without gaps. */
const lines = (text: string, name?: string, options?: Parameters<typeof compile>[2]): string[] =>
  printGraph(parseIR(printGraph(compile(text, name, options))), { sourceRanges: false })
    .replace(/^graph\([\s\S]*?\):\n/, "")
    .trimEnd()
    .split("\n")
    .map((line) => line.trim());

const f = (body: string, parameters = "x: Tensor", returns = "Tensor"): string =>
  `def f(${parameters}) -> ${returns}:\n${body.replace(/^/gm, "  ")}\n`;

t.test("defaults and keywords become inputs, and equal constants are one", async (t) => {
  t.strictSame(lines(f("y = torch.add(x, 1)\nreturn torch.mean(y, [1], dtype=None)")), [
    "%1 : int = prim::Constant[value=1]()",
    "%y : Tensor = aten::add(%x, %1, %1)",
    "%3 : int[] = prim::ListConstruct(%1)",
    "%4 : NoneType = prim::Constant()",
    "%5 : bool = prim::Constant[value=0]()",
    "%6 : Tensor = aten::mean(%y, %3, %5, %4)",
    "return (%6)",
  ]);
});

t.test("an if's results are what both branches assign, in that order", async (t) => {
  const text = f(
    "if torch.gt(torch.dim(x), 1):\n  z, y, a = x, torch.relu(x), 1\nelse:\n  z, y = torch.neg(x), x\nreturn torch.add(y, z)",
  );
  t.strictSame(lines(text), [
    "%1 : int = aten::dim(%x)",
    "%2 : int = prim::Constant[value=1]()",
    "%3 : bool = aten::gt(%1, %2)",
    "%z : Tensor, %y : Tensor = prim::If(%3)",
    "block0():",
    "%y.1 : Tensor = aten::relu(%x)",
    "-> (%x, %y.1)",
    "block1():",
    "%z.1 : Tensor = aten::neg(%x)",
    "-> (%z.1, %x)",
    "%8 : Tensor = aten::add(%y, %z, %2)",
    "return (%8)",
  ]);
});

t.test("conditions that types and literals decide leave no if", async (t) => {
  const decided = (condition: string, parameters?: string): string[] =>
    operators(compile(f(`if ${condition}:\n  y = torch.relu(x)\nelse:\n  y = torch.neg(x)\nreturn y`, parameters)));
  t.strictSame(decided("True"), ["aten::relu"]);
  t.strictSame(decided("not True"), ["aten::neg"]);
  t.strictSame(decided("x is None"), ["aten::neg"]);
  t.strictSame(decided("isinstance(x, Tensor)"), ["aten::relu"]);
  t.strictSame(decided("isinstance(x, (int, float))"), ["aten::neg"]);
  t.strictSame(decided("isinstance(x, list)"), ["aten::neg"]);
  t.strictSame(decided("isinstance(n, list)", "x: Tensor, n: List[int]"), ["aten::relu"]);
  t.strictSame(decided("isinstance(n, (tuple, list))", "x: Tensor, n: Union[Tensor, List[int]]"), [
    "prim::isinstance",
    "prim::If",
    "aten::relu",
    "aten::neg",
  ]);
  t.strictSame(decided("isinstance(n, int)", "x: Tensor, n: Optional[int]"), [
    "prim::isinstance",
    "prim::If",
    "aten::relu",
    "aten::neg",
  ]);
  t.strictSame(decided("n is None", "x: Tensor, n: Optional[int]"), [
    "aten::__is__",
    "prim::If",
    "aten::relu",
    "aten::neg",
  ]);
});

t.test("loops carry what they assign and existed before", async (t) => {
  t.strictSame(
    lines(f("y = x\nfor i in range(n):\n  t = torch.relu(y)\n  y = torch.mul(t, i)\nreturn y", "x: Tensor, n: int")),
    [
      "%2 : bool = prim::Constant[value=1]()",
      "%y : Tensor = prim::Loop(%n, %2, %x)",
      "block0(%i : int, %y.1 : Tensor):",
      "%t : Tensor = aten::relu(%y.1)",
      "%y.2 : Tensor = aten::mul(%t, %i)",
      "-> (%2, %y.2)",
      "return (%y)",
    ],
  );
  t.strictSame(
    lines(f("i = 0\nwhile torch.lt(i, 3):\n  i = torch.add(i, 1)\nreturn i", "x: Tensor", "int")).slice(2, 9),
    [
      "%3 : int = prim::Constant[value=3]()",
      "%4 : bool = aten::lt(%1, %3)",
      "%i : int = prim::Loop(%2, %4, %1)",
      "block0(%5 : int, %i.1 : int):",
      "%7 : int = prim::Constant[value=1]()",
      "%i.2 : int = aten::add(%i.1, %7)",
      "%9 : bool = aten::lt(%i.2, %3)",
    ],
  );
  t.strictSame(operators(compile(f("y = x\nfor i in range(1, 6, 2):\n  y = torch.add(y, i)\nreturn y"))), [
    "aten::__range_length",
    "prim::Loop",
    "aten::__derive_index",
    "aten::add.Scalar",
  ]);
});

t.test("tuples that are taken apart at once leave nothing behind", async (t) => {
  t.strictSame(operators(compile(f("p = (x, 1)\na, b, = p\nreturn torch.add(a, (p)[1])"))), ["aten::add.Scalar"]);
  t.strictSame(operators(compile(f("v, i = torch.max(x, 1)\nreturn v"))), ["aten::max.dim"]);
  t.strictSame(operators(compile(f("a, b, = p\nreturn b", "p: Tuple[int, Tensor]"))), ["prim::TupleUnpack"]);
  t.strictSame(operators(compile(f("return (p)[1]", "p: Tuple[int, Tensor]"))), ["prim::TupleIndex"]);
  t.strictSame(operators(compile(f("h, w, = torch.size(x)\nreturn h", "x: Tensor", "int"))), [
    "aten::size",
    "prim::ListUnpack",
  ]);
});

t.test("implicit conversions", async (t) => {
  t.strictSame(operators(compile(f("return torch.select(x, 0, torch.sum(x))"))), [
    "aten::sum",
    "aten::IntImplicit",
    "aten::select.int",
  ]);
  t.strictSame(operators(compile(f("return annotate(number, x)", "x: Tensor", "number"))), ["aten::ScalarImplicit"]);
  t.strictSame(operators(compile(f("return torch.avg_pool2d(x, 2, p)", "x: Tensor, p: Tuple[int, int]"))), [
    "prim::ListConstruct",
    "prim::TupleUnpack",
    "prim::ListConstruct",
    "aten::avg_pool2d",
  ]);
  t.strictSame(lines(f("return annotate(List[List[float]], x.tolist())", "x: Tensor", "List[List[float]]")), [
    "%1 : int = prim::Constant[value=2]()",
    "%2 : int = prim::Constant[value=1]()",
    "%3 : float[][] = prim::tolist(%x, %1, %2)",
    "return (%3)",
  ]);
  t.strictSame(operators(compile(f("return float(x)", "x: float", "float"))), []);
  t.strictSame(operators(compile(f("return int(x)", "x: Tensor", "int"))), ["aten::Int.Tensor"]);
});

t.test("literals", async (t) => {
  const values = (body: string, returns: string): unknown[] => {
    const graph = compile(f(body, "x: Tensor", returns));
    return [...graph.nodes()].filter((n) => n.kind === "prim::Constant").map((n) => constantOf(n.output()));
  };
  t.strictSame(
    values('return (-inf, inf, -3, 1e-05, "a\\n", None, True)', "Tuple[float, float, int, float, str, NoneType, bool]"),
    [-Infinity, Infinity, -3, 1e-5, "a\n", null, true],
  );
  t.equal(
    printGraph(compile(f('return torch.device("cpu")', "x: Tensor", "Device")), { sourceRanges: false }).split("\n")[1],
    '  %1 : Device = prim::Constant[value="cpu"]()',
  );
  const constant = Tensor.scalar("float32", 2);
  const graph = compile(f("return torch.mul(x, CONSTANTS.c0)"), "f", { constants: [constant] });
  t.equal(constantOf(graph.block.firstNode?.output() as never), constant);
});

const CLASSES = `
class Color(Enum):
  RED = 1
  GREEN = 2
class Point(NamedTuple):
  a : Tensor
  b : int
class Child(Module):
  __parameters__ = ["weight", ]
  weight : Tensor
  scale : Final[int] = 3
  def forward(self: __torch__.Child,
    x: Tensor,
    k: int=2) -> Tensor:
    return torch.mul(x, k)
class M(Module):
  class : __torch__.Child
  __annotations__["0"] = __torch__.Child
  color : __torch__.Color
  point : __torch__.Point
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    c = self.class
    d = getattr(self, "0")
    y = (d).forward((c).forward(x, ), k=5, )
    _0 = __torch__.g
    return torch.mul(_0(y, 1, ), c.scale)
  def paint(self: __torch__.M) -> bool:
    return torch.eq(self.color, __torch__.Color.GREEN)
  def move(self: __torch__.M,
    x: Tensor) -> __torch__.Point:
    p = self.point
    return __torch__.Point(torch.add(x, (p)[0]), p.b)
  def store(self: __torch__.M) -> NoneType:
    self.point = __torch__.Point(torch.ones([2]), 1)
    return None
class Box:
  n : int
  def __init__(self: __torch__.Box,
    n: int) -> NoneType:
    self.n = n
    return None
def g(x: Tensor, n: int) -> Tensor:
  return torch.add(x, n)
def boxed(x: Tensor) -> int:
  o = __torch__.Box.__new__(__torch__.Box)
  _0 = (o).__init__(3, )
  return o.n
`;

t.test("methods, functions, attributes, constants of classes", async (t) => {
  t.strictSame(lines(CLASSES, "M.forward"), [
    '%c : __torch__.Child = prim::GetAttr[name="class"](%self)',
    '%d : __torch__.Child = prim::GetAttr[name="0"](%self)',
    "%4 : int = prim::Constant[value=2]()",
    '%5 : Tensor = prim::CallMethod[name="forward"](%c, %x, %4)',
    "%6 : int = prim::Constant[value=5]()",
    '%y : Tensor = prim::CallMethod[name="forward"](%d, %5, %6)',
    "%8 : int = prim::Constant[value=1]()",
    '%9 : Function = prim::Constant[name="g"]()',
    "%10 : Tensor = prim::CallFunction(%9, %y, %8)",
    "%11 : int = prim::Constant[value=3]()",
    "%12 : Tensor = aten::mul(%10, %11)",
    "return (%12)",
  ]);
  t.strictSame(operators(compile(CLASSES, "M.paint")), ["prim::GetAttr", "aten::eq.enum"]);
  t.strictSame(operators(compile(CLASSES, "M.move")), [
    "prim::GetAttr",
    "prim::TupleIndex",
    "aten::add.Tensor",
    "prim::TupleIndex",
    "prim::TupleConstruct",
  ]);
  t.strictSame(operators(compile(CLASSES, "M.store")), [
    "prim::ListConstruct",
    "aten::ones",
    "prim::TupleConstruct",
    "prim::SetAttr",
  ]);
  t.strictSame(operators(compile(CLASSES, "boxed")), ["prim::CreateObject", "prim::CallMethod", "prim::GetAttr"]);
});

t.test("forked functions are called in place", async (t) => {
  const text = f(
    "def __forked_function():\n  return torch.relu(x)\nfs = annotate(List[Future[Tensor]], [])\n_0 = torch.append(fs, fork(__forked_function))\nreturn torch.wait(fs[0])",
  );
  t.strictSame(operators(compile(text)), [
    "prim::ListConstruct",
    "aten::relu",
    "aten::append.t",
    "aten::__getitem__.t",
  ]);
});

t.test("Python's own forms", async (t) => {
  t.strictSame(operators(compile(f("y = x\ny += 1\nreturn y * 2 - x"))), [
    "aten::add_.Scalar",
    "aten::mul.Scalar",
    "aten::sub.Tensor",
  ]);
  t.strictSame(operators(compile(f("return x if n > 0 and n < 3 else -x", "x: Tensor, n: int"))), [
    "aten::gt.int",
    "prim::If",
    "aten::lt.int",
    "prim::If",
    "aten::neg",
  ]);
  t.strictSame(
    operators(compile(f('assert x.dim() == 2, "bad"\nwith o:\n  y = x.relu()\nreturn y', "x: Tensor, o: Any"))),
    ["aten::dim", "aten::eq.int", "prim::If", "prim::RaiseException", "prim::Enter", "aten::relu", "prim::Exit"],
  );
  t.strictSame(operators(compile(f("return [torch.relu(y) for y in xs]", "xs: List[Tensor]", "List[Tensor]"))), [
    "prim::ListConstruct",
    "aten::len.t",
    "prim::Loop",
    "aten::__getitem__.t",
    "aten::relu",
    "aten::append.t",
  ]);
  t.strictSame(
    operators(compile(f('if a:\n  y = x\nelse:\n  raise ValueError("no")\nreturn y', "x: Tensor, a: bool"))),
    ["prim::If", "prim::RaiseException", "prim::Uninitialized"],
  );
});

t.test("entering a context of the user's and leaving it are calls of its methods; PyTorch's own stay", async (t) => {
  const context = `class Scaled:
  x : Tensor
  def __enter__(self: __torch__.Scaled) -> Tensor:
    return self.x
  def __exit__(self: __torch__.Scaled, a: Any, b: Any, c: Any) -> NoneType:
    self.x = torch.mul(self.x, 10)
    return None
`;
  const graph = compile(`${context}${f("with c as y, c:\n  z = torch.relu(y)\nreturn z", "c: __torch__.Scaled")}`);
  const calls = [...graph.nodes()].filter((node) => node.kind === "prim::CallMethod");
  t.strictSame(
    calls.map((node) => node.string("name")),
    ["__enter__", "__enter__", "__exit__", "__exit__"],
  );
  t.equal(calls[3]?.inputs.length, 4, "no exception to tell of");
  const body = "with n:\n  y = torch.relu(x)\nreturn y";
  const noGrad = "__torch__.torch.autograd.grad_mode.no_grad";
  const unit = unitOf({
    "__torch__.py": f(body, `x: Tensor, n: ${noGrad}`),
    "__torch__/torch/autograd/grad_mode.py": `class no_grad:
  def __enter__(self: ${noGrad}) -> NoneType:
    torch.set_grad_enabled(False)
    return None
`,
  });
  const info = unit.find("__torch__.f") as FunctionInfo;
  t.strictSame(operators(importFunction(unit, info, (source, offset) => source.location(offset))), [
    "prim::Enter",
    "aten::relu",
    "prim::Exit",
  ]);
});

t.test("archives of old versions mean what the operators meant then", async (t) => {
  const old = (body: string, version: number, parameters?: string): string[] =>
    operators(compile(f(body, parameters), "f", { version }));
  t.strictSame(old("return torch.div(x, y)", 4, "x: Tensor, y: Tensor"), ["aten::div.Tensor"]);
  t.strictSame(old("return torch.div(x, y)", 3, "x: Tensor, y: Tensor"), [
    "aten::is_floating_point",
    "aten::is_floating_point",
    "aten::__or__.bool",
    "prim::If",
    "aten::true_divide.Tensor",
    "aten::div.Tensor_mode",
  ]);
  t.strictSame(old("return torch.div(x, 2.)", 3), ["aten::true_divide.Scalar"]);
  t.strictSame(old("return torch.full([2], 1)", 4), ["prim::ListConstruct", "aten::Float.Scalar", "aten::full"]);
  t.strictSame(old("return torch.full([2], 1, dtype=4)", 4), ["prim::ListConstruct", "aten::full"]);
  t.strictSame(old("return torch.linspace(0, 1)", 7), ["aten::linspace"]);
  t.throws(() => old("return torch.linspace(0, 1)", 8), { code: "parse" });
});

t.test("operators written in TorchScript are compiled in place", async (t) => {
  t.strictSame(operators(compile(f("return torch.sub(1, x)"))), ["aten::neg", "aten::add.Scalar"]);
  t.strictSame(operators(compile(f("return torch.lt(2, x)"))), ["aten::gt.Scalar"]);
});

t.test("users' operators without a schema stay in the graph", async (t) => {
  t.strictSame(operators(compile(f("a, b = ops.mine.split(x, 2)\nreturn torch.add(a, b)"))), [
    "mine::split",
    "aten::add.Tensor",
  ]);
  t.equal(compile(f("a, b = ops.mine.split(x, 2)\nreturn b")).block.firstNode?.next?.outputs.length, 2);
});

t.test("mistakes are told with their line", async (t) => {
  const fails = (text: string, message: string, line: number, text_: string): void => {
    t.throws(
      () => compile(text),
      { code: "parse", message, location: { file: "code/__torch__.py", line, text: text_ } },
      message,
    );
  };
  fails(f("return torch.add(x, y)"), "'y' is not defined", 2, "  return torch.add(x, y)");
  fails(f("return torch.frobnicate(x)"), "there is no operator aten::frobnicate", 2, "  return torch.frobnicate(x)");
  fails(f('return torch.relu("a")'), "no overload of aten::relu takes (str)", 2, '  return torch.relu("a")');
  fails(f("return __torch__.missing(x)"), "the archive holds no __torch__.missing", 2, "  return __torch__.missing(x)");
  fails(f("return x", "x: Wat"), "unknown type 'Wat'", 1, "def f(x: Wat) -> Tensor:");
  fails(
    f("return x", "x: __torch__.A"),
    "the archive holds no class __torch__.A",
    1,
    "def f(x: __torch__.A) -> Tensor:",
  );
  fails(f("return 1"), "f returns int, but declares Tensor", 2, "  return 1");
  fails(f("a, b, = (x, x, x)\nreturn a"), "3 values are assigned to 2 names", 2, "  a, b, = (x, x, x)");
  fails(f("return CONSTANTS.c7"), "the archive holds no constant c7", 2, "  return CONSTANTS.c7");
  fails(
    f("for i in range(2):\n  return x\nreturn x"),
    "a return inside an if or a loop is not supported",
    3,
    "    return x",
  );
  t.throws(() => compile(f("return torch.relu(x, 2)")), {
    code: "parse",
    hint: "it takes 1 positional arguments, not 2",
  });
});
