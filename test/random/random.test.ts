import t from "tap";
import { compositions, testCompositions } from "./compositions.js";

t.test("a seed stands for the same compositions each time", async (t) => {
  const [first, again, other] = [compositions(5, 20), compositions(5, 20), compositions(6, 20)];
  t.strictSame(first, again);
  t.notSame(first, other);
  t.strictSame(compositions(5, 10), first.slice(0, 10), "fewer are the first of more");
});

const python = process.env.TRTORCH_TEST_PYTHON ?? "";
const skip = python === "" && "PyTorch computes the reference: set TRTORCH_TEST_PYTHON to a Python that has it";

t.test("random compositions agree with PyTorch", { skip }, async (t) => {
  const count = 200;
  let agreed = 0;
  for await (const { id, composition, outcome } of testCompositions({ python, seed: 1, count, library: false })) {
    if (outcome.kind === "agrees") agreed++;
    if (outcome.kind === "fails") t.fail(`composition ${id}: ${outcome.reason}\n${composition.irOfAll}`);
  }
  t.ok(agreed > 0.8 * count, `${agreed} of ${count} agree, the others are refused`);
});
