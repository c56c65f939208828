import t from "tap";
import { Names } from "../../src/util/names.js";

t.test("a name that is taken gets the next number", async (t) => {
  const dotted = new Names(".", 1);
  t.strictSame(
    ["x", "x", "x.1", "x.2", "x", "y.5", "y.5"].map((name) => dotted.unique(name)),
    ["x", "x.1", "x.2", "x.3", "x.4", "y.5", "y.1"],
  );
  const variables = new Names("_", 0, ["", "if"]);
  t.strictSame(
    ["", "if", "x", "x_0", "x", "x_0"].map((name) => variables.unique(name)),
    ["_0", "if_0", "x", "x_0", "x_1", "x_0_0"],
  );
});

t.test("many of one name are not looked for one by one", async (t) => {
  const names = new Names("_", 1);
  const all = Array.from({ length: 200_000 }, () => names.unique("x"));
  t.equal(new Set(all).size, all.length);
});
