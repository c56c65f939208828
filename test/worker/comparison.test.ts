import t from "tap";
import { Tensor } from "../../src/ir/tensor.js";
import { DEFAULT_TOLERANCE } from "../../src/plan/job.js";
import { compare, GoldenMismatch } from "../../src/worker/comparison.js";

t.test("an output of a coarser dtype has that one's tolerance, unless one was stated", async (t) => {
  const passes = (dtype: "float32" | "float16" | "bfloat16", rtol: number): boolean =>
    compare("y", Tensor.of(dtype, [1], [1.0078125]), Tensor.of("float32", [1], [1]), { rtol, atol: 0 }).passed;
  const { rtol } = DEFAULT_TOLERANCE.fp32;
  t.equal(passes("float32", rtol), false);
  t.equal(passes("float16", rtol), true);
  t.equal(passes("bfloat16", rtol), true);
  t.equal(passes("bfloat16", 1e-4), false, "stated");
});

t.test("the hint of a mismatch speaks of ties where the model orders", async (t) => {
  const far = compare("y", Tensor.of("float32", [1], [2]), Tensor.of("float32", [1], [1]), { rtol: 0, atol: 0 });
  const hint = (orders: boolean) => new GoldenMismatch({ golden: "g.npz", precision: "fp32" }, [far], orders).hint;
  t.equal(hint(false), "Check that the golden file was recorded with this model file, in eval mode.");
  t.match(hint(true), /in eval mode\. The model sorts or selects: equal and nearly equal scores/);
});
