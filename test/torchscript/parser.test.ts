import t from "tap";
import type { Expression, Statement } from "../../src/torchscript/ast.js";
import { parseFile } from "../../src/torchscript/parser.js";
import { Source } from "../../src/torchscript/source.js";

const parse = (text: string): ReturnType<typeof parseFile> => parseFile(Source.fromText("code/__torch__/m.py", text));

/** The expression as text with every grouping in parentheses. */
function show(e: Expression): string {
  switch (e.kind) {
    case "Name":
      return e.name;
    case "Number":
      return e.type === "float" && Number.isInteger(e.value)
        ? `${e.value}.`
        : String(e.value) + (e.type === "complex" ? "j" : "");
    case "String":
      return JSON.stringify(e.value);
    case "Literal":
      return String(e.value);
    case "Ellipsis":
      return "...";
    case "Attribute":
      return `${show(e.object)}.${e.name}`;
    case "Call":
      return `${show(e.callee)}(${[...e.args.map(show), ...e.keywords.map((k) => `${k.name}=${show(k.value)}`)].join(", ")})`;
    case "Subscript":
      return `${show(e.object)}[${show(e.index)}]`;
    case "Slice":
      return [e.start, e.stop, e.step].map((bound) => (bound === undefined ? "" : show(bound))).join(":");
    case "Tuple":
      return `(${e.elements.map(show).join(", ")},)`;
    case "List":
      return `[${e.elements.map(show).join(", ")}]`;
    case "Dict":
      return `{${e.keys.map((key, i) => `${show(key)}: ${show(e.values[i] as Expression)}`).join(", ")}}`;
    case "Unary":
      return `(${e.operator} ${show(e.operand)})`;
    case "Binary":
      return `(${show(e.left)} ${e.operator} ${show(e.right)})`;
    case "Conditional":
      return `(${show(e.value)} if ${show(e.test)} else ${show(e.otherwise)})`;
    case "Comprehension":
      return `[${show(e.element)} for ${show(e.target)} in ${show(e.iterable)}]`;
    case "Starred":
      return `*${show(e.value)}`;
  }
}

function body(text: string): readonly Statement[] {
  const indented = text.replace(/^/gm, "  ");
  return parse(`def f(x: Tensor) -> Tensor:\n${indented}\n`).functions.get("f")?.body ?? [];
}

function expression(text: string): string {
  const [statement] = body(text);
  return statement?.kind === "Expression" ? show(statement.value) : `${statement?.kind}`;
}

t.test("expressions bind as Python's", async (t) => {
  for (const [text, expected] of [
    ["a + b * c ** -d", "(a + (b * (c ** (- d))))"],
    ["-a ** 2", "(- (a ** 2))"],
    ["a ** b ** c", "(a ** (b ** c))"],
    ["a - b - c", "((a - b) - c)"],
    ["not a == b and c or d", "(((not (a == b)) and c) or d)"],
    ["a is not None", "(a is not null)"],
    ["a not in b", "(a not in b)"],
    ["a if b else c if d else e", "(a if b else (c if d else e))"],
    ["a | b & c << 1", "(a | (b & (c << 1)))"],
    ["(self).forward(x, )", "self.forward(x)"],
    ["((l).forward__0(x, None, ))[0]", "l.forward__0(x, null)[0]"],
    [
      'torch.full([2], 1., dtype=None, device=torch.device("cpu"))',
      'torch.full([2], 1., dtype=null, device=torch.device("cpu"))',
    ],
    ["annotate(List[Tensor], [])", "annotate(List[Tensor], [])"],
    ["annotate(Dict[str, Tensor], {})", "annotate(Dict[(str, Tensor,)], {})"],
    ['{"a": 1, "b": x[0]}', '{"a": 1, "b": x[0]}'],
    ["x[1:], x[:2], x[::2], x[0:1:2]", "(x[1::], x[:2:], x[::2], x[0:1:2],)"],
    ["[a + 1 for a in b]", "[(a + 1) for a in b]"],
    ["d.class", "d.class"],
    ["(1,)", "(1,)"],
    ["()", "(,)"],
    ["-inf", "(- inf)"],
    ["1j", "1j"],
    ["f(*args)", "f(*args)"],
    ["(a\n   + b)", "(a + b)"],
  ] as const) {
    t.equal(expression(text), expected, text);
  }
});

t.test("statements", async (t) => {
  const kinds = body(
    [
      "a, b, = x",
      "c : Optional[Tensor] = a",
      "d = e = 1",
      "a += 1",
      "self.k = 3",
      "x[0] = a",
      "if a:\n  pass\nelif b:\n  a = 1\nelse:\n  a = 2",
      "for i in range(3):\n  continue",
      "while True:\n  break",
      "with o as p, q:\n  pass",
      "def __forked_function():\n  return a",
      'raise Exception("no")',
      'assert a, "no"',
      "del a",
      "return",
    ].join("\n"),
  ).map((statement) => statement.kind);
  t.strictSame(
    kinds.join(" "),
    "Assign Assign Assign AugmentedAssign Assign Assign If For While With Function Raise Assert Delete Return",
  );
  const [unpack] = body("a, b, = x");
  t.equal(unpack?.kind === "Assign" && unpack.targets[0] && show(unpack.targets[0]), "(a, b,)");
});

t.test("classes: attributes of any name, constants, methods", async (t) => {
  const { classes } = parse(`
class M(Module):
  __parameters__ = ["w", "b", ]
  __buffers__ = []
  __annotations__ = []
  __annotations__["0"] = Tensor
  w : Tensor
  class : __torch__.C
  def : int
  size : Final[Tuple[int, int]] = (1, 2)
  def forward(self: __torch__.m.M,
    x: Tensor,
    k: int=2, *, flag: bool=True) -> Tuple[Tensor, int]:
    return (x, k)
  def __len__(self: __torch__.m.M) -> int:
    return 2
class Color(Enum):
  RED = 1
class Point(NamedTuple):
  a : Tensor
  b : int = 3
class Iface(ModuleInterface):
  def forward(self, x: Tensor) -> Tensor:
    pass
class Empty:
class Bare(Module):
  pass
`);
  const m = classes.get("M");
  t.equal(m?.base, "Module");
  t.strictSame(m?.parameters, ["w", "b"]);
  t.strictSame(
    m?.attributes.map((attribute) => attribute.name),
    ["0", "w", "class", "def", "size"],
  );
  t.strictSame(
    m?.methods.map((method) => [method.name, method.parameters.length]),
    [
      ["forward", 4],
      ["__len__", 1],
    ],
  );
  t.strictSame(
    m?.methods[0]?.parameters.map((p) => [p.name, p.kwargOnly, p.default !== undefined]),
    [
      ["self", false, false],
      ["x", false, false],
      ["k", false, true],
      ["flag", true, true],
    ],
  );
  t.equal(classes.get("Color")?.attributes[0]?.value?.kind, "Number");
  t.equal(classes.get("Point")?.attributes.length, 2);
  t.equal(classes.get("Iface")?.methods[0]?.parameters[0]?.annotation, undefined);
  t.equal(classes.get("Empty")?.base, undefined);
  t.ok(classes.has("Bare"));
});

t.test("what older archives begin with is passed over", async (t) => {
  t.ok(parse("op_version_set = 1\nimport __torch__.a.b\ndef g(x: Tensor) -> Tensor:\n  return x\n").functions.has("g"));
});

t.test("errors say what was expected and where", async (t) => {
  const fails = (text: string, message: string, line: number, column: number): void => {
    t.throws(
      () => parse(text),
      { code: "parse", message, location: { file: "code/__torch__/m.py", line, column } },
      message,
    );
  };
  fails("x = 1\n", "expected a class or a function, found 'x'", 1, 1);
  fails("def f(x: Tensor)\n  return x\n", "expected ':', found the end of the line", 1, 17);
  fails("def f(x: Tensor) -> Tensor:\n  return (x\n", "expected ')', found the end of the line", 2, 12);
  fails("def f(x: Tensor) -> Tensor:\n  y = torch.add(x,, 1)\n", "expected an expression, found ','", 2, 19);
  fails("def f(x: Tensor) -> Tensor:\nreturn x\n", "expected an indented block, found 'return'", 2, 1);
  fails("def f(x: Tensor) -> Tensor:\n  y = lambda\n", "'lambda' is a keyword here, expected an expression", 2, 7);
  fails(`def f():\n  return ${"(".repeat(3000)}`, "this is nested too deeply", 2, 410);
  fails(`def f():\n  return a${".b".repeat(3000)}`, "this is nested too deeply", 2, 10);
  fails(`def f():\n  return a${" + b".repeat(3000)}`, "this is nested too deeply", 2, 10);
  fails("class C(Module):\n  3 : int\n", "expected an attribute or a method", 2, 3);
});

t.test("sums within sums are as deep as all of them together", async (t) => {
  const sums = (levels: number, length: number): string => {
    const opened = `${"(".repeat(levels)}n`;
    return `def f():\n  return ${opened}${`${" + n".repeat(length)})`.repeat(levels)}\n`;
  };
  t.ok(parse(sums(10, 30)));
  t.throws(() => parse(sums(20, 30)), { code: "parse", message: "this is nested too deeply" });
});
