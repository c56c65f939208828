import t from "tap";
import { bounds, type Dim, evaluate, type FloatScalar, round, SymFloat, symbol } from "../../src/network/symbolic.js";

const width = symbol("w", { min: 2, opt: 8, max: 64 }, { tensor: { id: 0 }, axis: 1 });
const height = symbol("h", { min: 2, opt: 8, max: 64 }, { tensor: { id: 0 }, axis: 0 });

function float(operation: SymFloat["operation"], ...args: (Dim | FloatScalar)[]): SymFloat {
  return new SymFloat(operation, args);
}

t.test("sizes that move against each other bound what is made of both", (t) => {
  const cases: readonly (readonly [Dim, number, number])[] = [
    [round("trunc", float("div", float("mul", 8, width), height)), 0, 256],
    [round("ceil", float("mul", float("sub", width, height), 0.5)), -31, 31],
    [round("floor", float("sub", 10, float("sqrt", width))), 2, 8],
    [round("floor", float("max", float("div", width, height), 1)), 1, 32],
    [round("floor", float("min", float("neg", width), 5)), -64, -2],
    [round("floor", float("log", width)), 0, 4],
    [round("round", float("pow", float("div", width, 64), height)), 0, 1],
    [round("floor", float("div", 1, float("sub", width, height))), -Infinity, Infinity],
    [round("floor", float("pow", float("sub", width, height), 2)), -Infinity, Infinity],
    [round("floor", float("sqrt", float("sub", width, height))), -Infinity, Infinity],
  ];
  for (const [value, min, max] of cases) {
    t.strictSame([bounds(value).min, bounds(value).max], [min, max], String(value));
  }
  t.end();
});

t.test("no value lies outside of its bounds", (t) => {
  const ratio = float("div", width, height);
  const values = (["floor", "ceil", "round", "trunc"] as const).flatMap((kind) => [
    round(kind, float("mul", ratio, -3)),
    round(kind, float("exp", float("sub", ratio, 5))),
    round(kind, float("pow", ratio, float("sub", height, width))),
    round(kind, float("log", float("mul", ratio, ratio))),
  ]);
  for (const value of values) {
    const { min, max } = bounds(value);
    for (let w = 2; w <= 64; w += 31) {
      for (let h = 2; h <= 64; h += 31) {
        const at = evaluate(value, ({ key }) => (key === "w" ? w : h));
        t.ok(min <= at && at <= max, `${value} is ${at}, from ${min} to ${max}`);
      }
    }
  }
  t.end();
});
