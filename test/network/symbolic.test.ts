import t from "tap";
import {
  bounds,
  ceildiv,
  type Dim,
  evaluate,
  type FloatScalar,
  lostInFloat32,
  round,
  SymFloat,
  type SymInt,
  symbol,
} from "../../src/network/symbolic.js";

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

t.test("a product of a size and a float is made of integers where they give what doubles do", (t) => {
  const size = (min: number, max: number): SymInt =>
    symbol("n", { min, opt: min, max }, { tensor: { id: 0 }, axis: 0 });
  const exact: readonly (readonly [SymFloat, SymInt])[] = [
    [float("mul", size(0, 128), 0.29), size(0, 128)],
    [float("mul", 0.57, size(1, 200)), size(1, 200)],
    [float("mul", size(1, 5000), 1.7), size(1, 5000)],
    [float("div", float("toFloat", size(1, 1000)), 0.3), size(1, 1000)],
    [float("mul", size(1, 8), 0), size(1, 8)],
  ];
  for (const [value, { min, max }] of exact) {
    for (const kind of ["floor", "trunc", "ceil"] as const) {
      const result = round(kind, value);
      t.notMatch(String(result), /floor\(|trunc|ceil/, `${kind} of ${value}`);
      for (let n = min; n <= max; n++) {
        const at = evaluate(result, () => n);
        const expected = Math[kind](evaluate(value, () => n));
        if (at !== expected) t.fail(`${kind} of ${value} is ${at} for ${n}, not ${expected}`);
      }
    }
  }
  t.equal(String(round("floor", float("mul", size(1, 64), 0.5))), "floordiv(n, 2)");
  t.equal(String(round("ceil", float("div", size(1, 64), 32))), String(ceildiv(size(1, 64), 32)));
  t.equal(String(round("floor", float("toFloat", size(1, 64)))), "n");
  // 100 * 0.29 is a little less than 29, and 300 * 0.29 is 87: no integers do that.
  const odd = round("floor", float("mul", size(64, 512), 0.29)) as SymInt;
  t.equal(String(odd), "floor(mul(n, 0.29))");
  t.equal(lostInFloat32(odd), "n = 100");
  t.equal(lostInFloat32(round("floor", float("div", float("mul", 8, width), height)) as SymInt), undefined);
  t.end();
});
