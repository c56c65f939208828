import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { checkMethodOperatorSupport } from "../../src/index.js";
import { findSchema, findSchemas } from "../../src/ir/operators.js";
import { printSchema } from "../../src/ir/schema.js";
import { TrtorchError } from "../../src/util/errors.js";
import { loadRegistry } from "../../src/worker/custom-converters.js";

const MODEL = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));

// From sources, the file's import of this package is compiled first.

t.test("what a converter of the user's throws is told with its place in the user's file", async (t) => {
  const root = t.testdir({
    "flatten.ts": `import { converter } from "trtorch-build";
export const flatten = [converter("aten::flatten.using_ints(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor", () => {
  throw new Error("boom");
})];
`,
  });
  const file = join(root, "flatten.ts");
  const registry = await loadRegistry([file]);
  const error = await checkMethodOperatorSupport(MODEL, "forward", { registry, inputs: [[1, 1, 32, 32]] }).catch(
    (thrown: unknown) => thrown,
  );
  t.ok(error instanceof TrtorchError);
  t.match(error, {
    code: "config",
    message: "the converter of aten::flatten.using_ints threw: boom",
    location: { file, line: 3 },
    hint: /unsupported/,
  });
});

t.test("an operator becomes known with what it writes to", async (t) => {
  const root = t.testdir({
    "scale.ts": `import { converter } from "trtorch-build";
export const scale = converter("tests_known::scale_(Tensor(a!) x, float by) -> Tensor(a!)", (_ctx, { x }) => x);
`,
  });
  await loadRegistry([join(root, "scale.ts")]);
  t.equal(findSchema("tests_known::scale_")?.arguments[0]?.alias?.isWrite, true);
});

t.test("an operator has the schemas of the files that were loaded last, all of them", async (t) => {
  const file = (...schemas: string[]) => `import { converter } from "trtorch-build";
export default [${schemas.map((schema) => `converter(${JSON.stringify(schema)}, (ctx, { x }) => x.tensor)`).join()}];
`;
  const by = "my::op(Tensor x, float by) -> Tensor";
  const dim = ["my::op(Tensor x, int dim, float by) -> Tensor", "my::op.int(Tensor x, int by) -> Tensor"];
  const root = t.testdir({
    "by.ts": file(by),
    "dim.ts": file(...dim),
  });
  const known = async (...files: string[]) => {
    await loadRegistry(files.map((name) => join(root, name)));
    return findSchemas("my::op").map(printSchema);
  };
  t.same(await known("by.ts"), [by]);
  t.same(await known("dim.ts"), dim);
  t.same(await known("by.ts"), [by]);
  await t.rejects(known("by.ts", "dim.ts"), { code: "usage", message: "my::op has another schema already" });
  t.same(await known(), []);
  t.ok(findSchemas("aten::add").length > 0);
});
