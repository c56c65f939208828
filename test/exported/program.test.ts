import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import t from "tap";
import { exportedProgram, loadExported } from "../../src/exported/index.js";
import { dimOf } from "../../src/exported/symbols.js";
import type { Program } from "../../src/ir/module.js";
import { Tensor } from "../../src/ir/tensor.js";
import { Archive } from "../../src/torchscript/archive.js";
import { TrtorchError } from "../../src/util/errors.js";
import { writeZip, type ZipMember } from "../torchscript/zip-writer.js";

const FIXTURES = new URL("../fixtures/exported/", import.meta.url);
const MODELS = new URL("../../../shared/models/", import.meta.url);
const fixture = (name: string): string => fileURLToPath(new URL(`${name}.pt2`, FIXTURES));
const load = (name: string): Program => loadExported(fixture(name));

function weights(program: Program): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const node of program.method(program.typeName, "forward").nodes()) {
    const value = node.attributes.get("value");
    if (value instanceof Tensor) found.set(node.output().name, value);
  }
  return found;
}

/** The members of an archive, to write it again with a difference. */
function members(name: string): Map<string, Buffer> {
  const archive = Archive.open(fixture(name));
  return new Map(archive.names().map((member) => [member, Buffer.from(archive.read(member))]));
}

function refusal(changed: Map<string, Uint8Array | string>): string {
  const list: ZipMember[] = [...changed].map(([name, data]) => ({ name: `m/${name}`, data }));
  try {
    const program = exportedProgram(Archive.parse(writeZip(list), "m.pt2"));
    program.method(program.typeName, "forward");
  } catch (error) {
    if (error instanceof TrtorchError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing wrong";
}

t.test("inputs: sizes, ranges and what ties them", async (t) => {
  const lenet = loadExported(fileURLToPath(new URL("lenet/export.pt2", MODELS)));
  t.strictSame(lenet.inputs("forward"), [
    { name: "x", dtype: "float32", dims: [{ min: 1, opt: 2, max: 16, symbol: "s77" }, 1, 32, 32] },
  ]);
  t.strictSame(lenet.methodNames, ["forward"]);
  t.equal(lenet.inputs("other"), undefined);
  const [x, y] = load("derived_dim").inputs("forward") ?? [];
  t.strictSame(x?.dims[1], { min: 4, opt: 8, max: 128, least: 2, symbol: "2*s94" });
  t.strictSame(y?.dims[1], { min: 2, opt: 4, max: 64, least: 1, symbol: "s94" });
  const [open] = load("unbounded").inputs("forward") ?? [];
  t.match(open?.dims, [{ min: 2, opt: 4, max: Infinity }, 3, { min: 2, opt: 8, max: Infinity }]);
});

t.test("names: flattened dicts, scalars fixed by the export, sizes as inputs", async (t) => {
  t.strictSame(load("dict_inputs").signature?.inputs, ["x", "mask", "opts_a", "opts_b_0"]);
  t.strictSame(load("scalar_inputs").signature?.inputs, ["x"], "numbers and None are constants of the graph");
  t.strictSame(load("symbolic").inputs("forward")?.[1], { name: "n", dtype: "int64", dims: [] });
  t.strictSame(load("outputs").signature?.outputs, ["a", "rest_0", "rest_1", "best_0", "best_1"]);
  t.strictSame(load("shared_storage").signature?.outputs, ["output_0", "output_1", "output_2"]);
});

t.test("weights: views of the file, shared as they were", async (t) => {
  const program = load("shared_storage");
  const found = weights(program);
  const [a, b, e] = ["self.a", "self.b", "self.e"].map((name) => found.get(name) as Tensor);
  t.equal(a?.storage, b?.storage, "a view of a parameter shares its memory");
  t.strictSame([b?.sizes, b?.strides, b?.storageOffset], [[3, 4], [1, 4], 1]);
  t.strictSame(e?.sizes, [0, 3]);
  const all = Array.from(a?.toNumbers() ?? []);
  t.strictSame(
    Array.from(b?.toNumbers() ?? []).slice(0, 4),
    [1, 5, 9, 13].map((at) => all[at]),
  );
  t.equal(weights(load("bfloat16")).get("self.weight")?.dtype, "bfloat16");
});

t.test("the layouts of older releases give the same program", async (t) => {
  const numbers = (name: string): unknown[] =>
    [...weights(load(name))].map(([key, value]) => [key, Array.from(value.toNumbers())]);
  const expected = numbers("legacy_2.6_constants");
  t.equal(expected.length, 5);
  t.strictSame(numbers("legacy_2.8_constants"), expected);
  t.strictSame(load("legacy_2.6_derived_dim").inputs("forward"), load("derived_dim").inputs("forward"));
  t.strictSame(load("legacy_2.6_unbounded").inputs("forward"), load("unbounded").inputs("forward"));
});

t.test("a weight of a tensor subclass is named with its class", async (t) => {
  const changed = members("constants");
  const path = "data/weights/model_weights_config.json";
  const { config } = JSON.parse(String(changed.get(path))) as {
    config: Record<string, { path_name: string; use_pickle?: boolean }>;
  };
  const payload = config["lin.weight"] as { path_name: string; use_pickle?: boolean };
  payload.use_pickle = true;
  changed.set(path, Buffer.from(JSON.stringify({ config })));
  const pickle =
    "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_wrapper_subclass\nctorchao.q\nInt8Tensor\n";
  const saved = [
    { name: "w/data.pkl", data: Buffer.from(pickle) },
    { name: "w/version", data: "3" },
  ];
  changed.set(`data/weights/${payload.path_name}`, Buffer.from(writeZip(saved)));
  t.equal(refusal(changed), 'unsupported: the weight "lin.weight" is a tensor subclass, torchao.q.Int8Tensor');
});

t.test("broken archives", async (t) => {
  const change = (member: string, data: Uint8Array | string | undefined): string => {
    const changed = new Map<string, Uint8Array | string>(members("constants"));
    if (data === undefined) changed.delete(member);
    else changed.set(member, data);
    return refusal(changed);
  };
  const json = (edit: (program: Record<string, unknown>) => void): string => {
    const program = JSON.parse(String(members("constants").get("models/model.json"))) as Record<string, unknown>;
    edit(program);
    return change("models/model.json", JSON.stringify(program));
  };
  t.equal(change("byteorder", "little"), "nothing wrong");
  t.match(change("models/model.json", '{"graph_module": {'), /^archive: models\/model.json is not JSON: /);
  t.match(change("models/model.json", "null"), /^archive: models\/model.json has no schema version/);
  t.match(
    json((program) => {
      program.schema_version = { major: 9, minor: 1 };
    }),
    /^archive: models\/model.json is of schema version 9.1 \(written by PyTorch 2\.11\S*\); versions 7 and 8 are known/,
  );
  t.match(
    json((program) => {
      program.graph_module = {};
    }),
    /^archive: models\/model.json has no graph with a signature/,
  );
  const config = JSON.parse(String(members("constants").get("data/weights/model_weights_config.json"))) as {
    config: Record<string, { path_name: string; tensor_meta: { sizes: { as_int: number }[] } }>;
  };
  const file = config.config["tied.weight"]?.path_name as string;
  t.match(
    change(`data/weights/${file}`, undefined),
    new RegExp(`^archive: the file data/weights/${file} of the weight "lin.weight" is missing`),
  );
  t.match(
    change(`data/weights/${file}`, Buffer.alloc(16)),
    new RegExp(
      `^archive: the weight "lin.weight" in data/weights/${file} needs 9 elements of float32, and its storage has 4`,
    ),
  );
  t.match(change("data/weights/model_weights_config.json", undefined), /of the weights is missing/);
  t.match(
    change("data/weights/model_weights_config.json", '{"config": {}}'),
    /uses the weight "lin.weight", which the archive does not hold/,
  );
  (config.config["lin.weight"] as { tensor_meta: { sizes: { as_int: number }[] } }).tensor_meta.sizes = [
    { as_int: 1 },
    { as_int: 3 },
  ];
  t.match(
    change("data/weights/model_weights_config.json", JSON.stringify(config)),
    /^archive: the weight "lin.weight" has the sizes \[1,3\], and the graph expects \[3,3\]/,
  );
  t.match(
    change("models/model.json", undefined),
    /neither a TorchScript nor a torch.export program|no exported program/,
  );
});

t.test("graphs that PyTorch does not write", async (t) => {
  const edited = (edit: (text: string) => string): string => {
    const changed = new Map<string, Uint8Array | string>(members("cond"));
    changed.set("models/model.json", edit(String(changed.get("models/model.json"))));
    return refusal(changed);
  };
  t.match(
    edited((text) => text.replace('{"as_tensor": {"name": "mul"}}', '{"as_tensor": {"name": "nul"}}')),
    /uses the value "mul", which nothing defines/,
  );
  t.match(
    edited((text) => text.replace("higher_order.cond", "higher_order.flex_attention")),
    /^unsupported: the higher-order operator flex_attention/,
  );
  t.match(
    edited((text) => text.replace("torch.ops.aten.sum.default", "torch.distributed.all_reduce")),
    /^unsupported: torch.distributed.all_reduce is no operator/,
  );
  t.match(
    edited((text) => text.replace('"as_int": 2}', '"as_tensor": {"name": "x"}, "as_int": 2}')),
    /^archive: expected an object with one tag/,
  );
  t.match(
    edited((text) => text.replace('"tensor_values"', '"tensor_value"')),
    /^archive: the program in the archive is not what torch.export writes/,
  );
  t.match(
    edited((text) => text.replace(/"nn_module_stack": "[^"]*"/, '"nn_module_stack": true')),
    /^archive: the program in the archive is not what torch.export writes/,
  );
  t.match(
    edited((text) => text.replace('"nodes": [', '"nodes": [null, ')),
    /^archive: the program in the archive is not what torch.export writes/,
  );
});

t.test("any bytes give a program or a TrtorchError", async () => {
  const original = members("while_loop");
  const text = original.get("models/model.json") as Buffer;
  const whole = readFileSync(fixture("symbolic"));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 })), { maxLength: 6 }),
      (flips) => {
        const changed = Buffer.from(text);
        for (const [at, value] of flips) changed[at] = value;
        refusal(new Map([...original, ["models/model.json", changed]]));
      },
    ),
    { numRuns: 300, seed: 1 },
  );
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
      const bytes = Buffer.from(whole);
      bytes[at] = value;
      try {
        const program = exportedProgram(Archive.parse(bytes, "m.pt2"));
        program.method(program.typeName, "forward");
      } catch (error) {
        if (!(error instanceof TrtorchError)) throw error;
      }
    }),
    { numRuns: 300, seed: 2 },
  );
});

t.test("several programs in one archive", async (t) => {
  const both = new Map<string, Uint8Array>();
  for (const [member, data] of members("constants")) {
    both.set(member, data);
    both.set(
      member
        .replace("model", "other")
        .replace("models/", "models/")
        .replace(/^others\/model/, "models/other"),
      data,
    );
  }
  const archive = Archive.parse(writeZip([...both].map(([name, data]) => ({ name: `m/${name}`, data }))), "m.pt2");
  t.equal(exportedProgram(archive).methodNames.length, 1, "model is the default");
  t.equal(exportedProgram(archive, { model: "other" }).methodNames.length, 1);
  t.throws(() => exportedProgram(archive, { model: "third" }), {
    code: "usage",
    message: /no model "third"; it has "model", "other"/,
  });
});

t.test("expressions of sizes, in both spellings", async (t) => {
  const ranges = { s0: { min_val: 2, max_val: 10 }, u1: { min_val: null, max_val: null } };
  const dim = (text: string, hint?: number): unknown =>
    dimOf({ as_expr: { expr_str: text, hint: hint === undefined ? null : { as_int: hint } } }, ranges, "dim 0 of x");
  t.strictSame(dim("s0", 4), { min: 2, opt: 4, max: 10, least: 1, symbol: "s0" });
  const other = dim("Symbol('s0', positive=True, integer=True)", 99);
  t.strictSame(other, { min: 2, opt: 10, max: 10, least: 1, symbol: "s0" });
  t.strictSame(dim("8*s0 - 1", 31), { min: 15, opt: 31, max: 79, least: 7, symbol: "8*s0 - 1" });
  t.strictSame(dim("Add(Mul(Integer(8), Symbol('s0')), Integer(-1))", 31), dim("8*s0 - 1", 31));
  t.strictSame(dim("2*(s0 + 1) - s0"), { min: 4, opt: 4, max: 12, least: 3, symbol: "s0 + 2" });
  t.strictSame(dim("u1", 5), { min: 1, opt: 5, max: Infinity, symbol: "u1" });
  t.equal(dim("Integer(7)"), 7);
  for (const text of ["s0*s0", "Mod(s0, 8)", "s0//2", "s0 + s1", "-s0", "Max(3, s0)", "s0**2", "(s0", ""]) {
    t.throws(() => dim(text), { code: "unsupported" }, text);
  }
  t.throws(() => dim("s0 ; rm"), { code: "archive" });
});
