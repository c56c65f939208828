import t from "tap";
import { findSchema, findSchemas, registerSchema } from "../../src/ir/operators.js";
import { SCHEMA_TABLE } from "../../src/ir/schema-table.js";

t.test("the overloads of an operator come in PyTorch's order", async (t) => {
  const overloads = findSchemas("aten::add").map((schema) => schema.overload);
  t.equal(overloads[0], "Tensor");
  t.equal(overloads[1], "Scalar");
  t.ok(overloads.indexOf("int") < overloads.indexOf("float"));
});

t.test("a name that begins another name is an operator of its own", async (t) => {
  t.ok(findSchemas("aten::conv1d").every((schema) => schema.name === "aten::conv1d"));
  t.ok(findSchemas("aten::div_").every((schema) => schema.name === "aten::div_"));
  t.same(findSchemas("aten::no_such_operator"), []);
});

t.test("every line of the table is a schema", async (t) => {
  const lines = SCHEMA_TABLE.trim().split("\n");
  const unknown = lines.filter((line) => findSchema(line.slice(0, line.indexOf("("))) === undefined);
  t.strictSame(unknown, []);
  t.ok(lines.length > 4000, `${lines.length} schemas`);
});

t.test("torchvision's and Torch-TensorRT's operators are there", async (t) => {
  t.equal(findSchema("torchvision::nms")?.arguments.length, 3);
  t.equal(findSchema("tensorrt::execute_engine")?.returns[0]?.type.kind, "ListType");
  t.equal(findSchema("aten::flatten.using_ints")?.arguments[1]?.default, 0);
});

t.test("users' operators are registered once", async (t) => {
  const text = "my_ops::scale(Tensor self, float factor=1.0) -> Tensor";
  t.equal(registerSchema(text), registerSchema(text));
  t.equal(findSchemas("my_ops::scale").length, 1);
  t.throws(() => registerSchema("my_ops::scale(Tensor self) -> Tensor"), {
    code: "usage",
    message: "my_ops::scale has another schema already",
  });
  registerSchema("my_ops::scale.int(Tensor self, int factor) -> Tensor");
  t.equal(findSchemas("my_ops::scale").length, 2);
});
