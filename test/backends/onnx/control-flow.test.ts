import t from "tap";
import { createSession, execute } from "../../../src/backends/onnx/runtime.js";
import { Tensor } from "../../../src/ir/tensor.js";
import type { DataType } from "../../../src/network/enums.js";
import type { ITensor } from "../../../src/network/layers.js";
import { Network } from "../../../src/network/network.js";
import { makeWeights } from "../../../src/network/weights.js";

function constant(network: Network, type: DataType, dims: readonly number[], values: readonly number[]): ITensor {
  return network.addConstant(makeWeights(type, dims, values));
}

function numbers(tensor: Tensor | undefined): number[] {
  return Array.from(tensor?.toNumbers() ?? []);
}

t.test("a conditional with two outputs, branches that hand through, and one within the other", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2]);
  const flags = network.addInput("flags", "kBOOL", [2]);
  const flag = (index: number): ITensor =>
    network.addShuffle(network.addSlice(flags, [index], [1], [1]), { reshape: [] });
  const outer = network.addIfConditional(flag(0));
  const thenOutputs = outer.branch("then", () => {
    const inner = network.addIfConditional(flag(1));
    const doubled = inner.branch("then", () => network.addElementWise(x, x, "kSUM"));
    const squared = inner.branch("else", () => network.addElementWise(x, x, "kPROD"));
    const chosen = inner.addOutput(doubled, squared);
    return [network.addUnary(chosen, "kNEG"), network.addIdentity(x)] as const;
  });
  const elseOutputs = outer.branch(
    "else",
    () => [network.addIdentity(x), constant(network, "kFLOAT", [2], [7, 8])] as const,
  );
  network.markOutput(outer.addOutput(thenOutputs[0], elseOutputs[0]), "a");
  network.markOutput(outer.addOutput(thenOutputs[1], elseOutputs[1]), "b");
  const session = await createSession(network);
  const run = async (...values: number[]) => {
    const { a, b } = await session.run({ x: Tensor.of("float32", [2], [3, 5]), flags: Tensor.of("bool", [2], values) });
    return [...numbers(a), ...numbers(b)];
  };
  t.same(await run(1, 1), [-6, -10, 3, 5]);
  t.same(await run(1, 0), [-9, -25, 3, 5]);
  t.same(await run(0, 1), [3, 5, 7, 8]);
  await session.release();
});

t.test("a counted loop: recurrences, iterators both ways, and all kinds of outputs", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [3, 2]);
  const count = network.addInput("count", "kINT64", []);
  const loop = network.addLoop();
  loop.addTripLimit(count, "kCOUNT");
  const sum = loop.addRecurrence(constant(network, "kFLOAT", [2], [0, 0]));
  const forwards = loop.addIterator(x, 0);
  const backwards = loop.addIterator(x, 0, true);
  const next = loop.body(() => network.addElementWise(sum.value, forwards, "kSUM"));
  sum.setNext(next);
  const difference = loop.body(() => network.addElementWise(forwards, backwards, "kSUB"));
  network.markOutput(loop.addLoopOutput(sum.value, "kLAST_VALUE"), "last");
  network.markOutput(loop.addLoopOutput(next, "kLAST_VALUE"), "last of next");
  network.markOutput(loop.addLoopOutput(sum.value, "kCONCATENATE", 0, 3), "before");
  network.markOutput(loop.addLoopOutput(next, "kCONCATENATE", 1, 3), "columns");
  network.markOutput(loop.addLoopOutput(next, "kREVERSE", 0, 3), "reversed");
  network.markOutput(loop.addLoopOutput(difference, "kCONCATENATE", 0, 3), "difference");
  const inputs = { x: Tensor.of("float32", [3, 2], [1, 2, 3, 4, 5, 6]), count: Tensor.of("int64", [], [3]) };
  const out = await execute(network, inputs);
  t.same(numbers(out.last), [9, 12]);
  t.same(numbers(out["last of next"]), [9, 12]);
  t.same(numbers(out.before), [0, 0, 1, 2, 4, 6], "a recurrence as an iteration sees it");
  t.same(
    [out.columns?.sizes, numbers(out.columns)],
    [
      [2, 3],
      [1, 4, 9, 2, 6, 12],
    ],
  );
  t.same(numbers(out.reversed), [9, 12, 4, 6, 1, 2]);
  t.same(numbers(out.difference), [-4, -4, 0, 0, 4, 4]);
});

t.test("a loop that runs while a condition holds, which it computes from what it carries", async (t) => {
  const network = new Network();
  const start = network.addInput("start", "kINT64", []);
  const limit = constant(network, "kINT64", [], [100]);
  const loop = network.addLoop();
  const value = loop.addRecurrence(start);
  const steps = loop.addRecurrence(constant(network, "kINT64", [], [0]));
  const one = constant(network, "kINT64", [], [1]);
  const goOn = loop.body(() => network.addElementWise(value.value, limit, "kLESS"));
  loop.addTripLimit(goOn, "kWHILE");
  value.setNext(loop.body(() => network.addElementWise(value.value, value.value, "kSUM")));
  steps.setNext(loop.body(() => network.addElementWise(steps.value, one, "kSUM")));
  network.markOutput(loop.addLoopOutput(value.value, "kLAST_VALUE"), "value");
  network.markOutput(loop.addLoopOutput(steps.value, "kLAST_VALUE"), "steps");
  const run = async (from: number) => {
    const { value, steps } = await execute(network, { start: Tensor.of("int64", [], [from]) });
    return [value?.item(), steps?.item()];
  };
  t.same(await run(3), [192, 6]);
  t.same(await run(100), [100, 0], "not once");
});

t.test("a loop within a loop, and a conditional within that", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 3]);
  const zero = constant(network, "kFLOAT", [], [0]);
  const outer = network.addLoop();
  outer.addTripLimit(constant(network, "kINT64", [], [2]), "kCOUNT");
  const row = outer.addIterator(x, 0);
  const total = outer.body(() => {
    const inner = network.addLoop();
    inner.addTripLimit(constant(network, "kINT32", [], [3]), "kCOUNT");
    const sum = inner.addRecurrence(zero);
    const element = inner.addIterator(row, 0);
    sum.setNext(
      inner.body(() => {
        const positive = network.addIfConditional(network.addElementWise(element, zero, "kGREATER"));
        const added = positive.branch("then", () => network.addElementWise(sum.value, element, "kSUM"));
        const kept = positive.branch("else", () => network.addIdentity(sum.value));
        return positive.addOutput(added, kept);
      }),
    );
    return inner.addLoopOutput(sum.value, "kLAST_VALUE");
  });
  network.markOutput(outer.addLoopOutput(total, "kCONCATENATE", 0, 2), "sums");
  const { sums } = await execute(network, { x: Tensor.of("float32", [2, 3], [1, -2, 3, -4, 5, -6]) });
  t.same(numbers(sums), [4, 5], "of the positive elements of each row");
});
