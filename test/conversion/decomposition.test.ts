import t from "tap";
import { decomposition } from "../../src/conversion/decomposition.js";
import { convert, defaultRegistry, execute, parseIR, Tensor } from "../../src/index.js";
import { registerSchema } from "../../src/ir/operators.js";
import { printSchema } from "../../src/ir/schema.js";

type Operator = ReturnType<typeof decomposition>;

/** Converts `call` of the operators and `x`, `[2]` float32, and computes it for 1 and -2. */
async function compute(call: string, ...operators: readonly Operator[]) {
  for (const { schema } of operators) registerSchema(printSchema(schema));
  const graph = parseIR(`
graph(%x : Tensor):
  %none : NoneType = prim::Constant()
  %true : bool = prim::Constant[value=1]()
  %two : float = prim::Constant[value=2.]()
  %dtype : int = prim::Constant[value=5]()
  %y : Tensor = ${call}
  return (%y)`);
  const { network, nodes } = convert(graph, {
    inputs: [{ name: "x", dtype: "float32", dims: [2] }],
    registry: defaultRegistry().register(...operators),
    capabilities: { backend: "onnxruntime", version: [1, 0] },
  });
  const { output_0 } = await execute(network, { x: Tensor.of("float32", [2], [1, -2]) });
  const layers = network.layers.map(({ name }) => name.replace(/#\d+$/, ""));
  return { numbers: [...(output_0?.toNumbers() ?? [])], layers: [...new Set(layers)], nodes: nodes.length };
}

t.test("an operator by others: its layers are its own, and it is one node", async (t) => {
  const scaled = decomposition("mine::scaled(Tensor x, float by=3.) -> Tensor", "return torch.relu(x) * by");
  t.same(await compute("mine::scaled(%x, %two)", scaled), { numbers: [2, 0], layers: ["mine::scaled"], nodes: 1 });
  const twice = decomposition(
    "mine::twice(Tensor x) -> Tensor",
    `
    y = ops.mine.scaled(x)
    return ops.mine.scaled(y, by=0.5)
    `,
  );
  t.same((await compute("mine::twice(%x)", scaled, twice)).numbers, [1.5, 0], "by another, with its default");
});

t.test("an argument that is None is known to be", async (t) => {
  const shifted = decomposition(
    "mine::shifted(Tensor x, Tensor? by=None, ScalarType? dtype=None) -> Tensor",
    `
if by is None:
  y = x
else:
  y = x + by
if dtype is not None:
  y = torch.to(y, dtype)
return y
`,
  );
  t.same((await compute("mine::shifted(%x, %none, %none)", shifted)).numbers, [1, -2]);
  t.same((await compute("mine::shifted(%x, %x, %dtype)", shifted)).numbers, [2, -4]);
});

t.test("mistakes have the place in the body", async (t) => {
  const wrong = decomposition(
    "mine::wrong(Tensor x) -> Tensor",
    `
    y = torch.relu(x)
    return torch.no_such_operator(y, 1)
    `,
  );
  await t.rejects(compute("mine::wrong(%x)", wrong), {
    code: /parse|unsupported/,
    location: { file: "mine::wrong", line: 3, text: "  return torch.no_such_operator(y, 1)" },
  });
  const unfinished = decomposition("mine::unfinished(Tensor x) -> Tensor", "return torch.relu(x");
  await t.rejects(compute("mine::unfinished(%x)", unfinished), {
    code: "parse",
    location: { file: "mine::unfinished" },
  });
  const early = decomposition("mine::early(Tensor x, bool y=True) -> Tensor", "if y:\n  return x\nreturn torch.neg(x)");
  await t.rejects(compute("mine::early(%x, %true)", early), {
    code: "parse",
    message: /a return inside an if/,
    location: { file: "mine::early", line: 3 },
  });
});

t.test("what cannot be converted within is refused at the operator's own place", async (t) => {
  const unknown = decomposition("mine::unknown(Tensor x) -> Tensor", "return torch.bernoulli(x)");
  await t.rejects(compute("mine::unknown(%x)", unknown), {
    code: "unsupported-operator",
    message: /no converter for aten::bernoulli/,
  });
});
