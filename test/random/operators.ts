import { type Argument, broadcast, type Composer, type Dtype, dtypeCode, type Operand, promote } from "./composer.js";

/** Adds one operator, or a few that belong together, to a composition; false when no operand suits. */
type Step = (c: Composer) => boolean;

const isFloat = ({ dtype }: Operand): boolean => dtype === "float32";
const isInt = ({ dtype }: Operand): boolean => dtype === "int64" || dtype === "int32";
const isNumber = ({ dtype }: Operand): boolean => dtype !== "bool";
const hasDims = ({ shape }: Operand): boolean => shape.length > 0;
const isFilled = ({ shape }: Operand): boolean => numel(shape) > 0;
const numel = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const float = (value: number): Argument => ({ float: value });
const ints = (list: readonly number[]): Argument => ({ list, of: "int" });
const tensors = (list: readonly Operand[]): Argument => ({ list, of: "Tensor" });
const axisOf = (c: Composer, { shape }: Operand): number => c.int(0, Math.max(shape.length - 1, 0));
/** The axis as it is or counted from the end. */
const spelled = (c: Composer, axis: number, rank: number): number => (c.chance(40) ? axis - Math.max(rank, 1) : axis);
const without = (shape: readonly number[], axes: readonly number[], keep: boolean): number[] =>
  keep ? shape.map((size, i) => (axes.includes(i) ? 1 : size)) : shape.filter((_, i) => !axes.includes(i));
const moved = (x: Operand, shape: readonly number[]): Partial<Operand> => ({
  shape,
  dtype: x.dtype,
  exact: x.exact,
  distinct: x.distinct,
});

/** An operand that broadcasts with `a`: one there is, or a number. */
function partner(c: Composer, a: Operand, suits: (b: Operand) => boolean): Operand | undefined {
  return c.operand((b) => suits(b) && (broadcast(a.shape, b.shape)?.length ?? 9) <= 5);
}

function unary(kinds: readonly string[], suits: (x: Operand) => boolean, exact: boolean, dtype?: Dtype): Step {
  return (c) => {
    const x = c.operand(suits);
    if (x === undefined) return false;
    c.call(c.pick(kinds), [x], { shape: x.shape, dtype: dtype ?? x.dtype, exact: exact && x.exact });
    return true;
  };
}

/** Within (-1, 1), or positive: where a function has no pole and no steep end. */
function tamed(c: Composer, x: Operand, how: "unit" | "positive"): Operand {
  const [y] =
    how === "unit"
      ? c.call("aten::tanh", [x], { shape: x.shape })
      : c.call("aten::abs", [x], { shape: x.shape, exact: x.exact });
  const [z] =
    how === "unit"
      ? c.call("aten::mul", [y as Operand, float(0.9)], { shape: x.shape })
      : c.call("aten::add", [y as Operand, float(0.5), 1], { shape: x.shape, exact: x.exact });
  return z as Operand;
}

function tamedUnary(kinds: readonly string[], how: "unit" | "positive"): Step {
  return (c) => {
    const x = c.operand(isFloat);
    if (x === undefined) return false;
    c.call(c.pick(kinds), [tamed(c, x, how)], { shape: x.shape });
    return true;
  };
}

const arithmetic: Step = (c) => {
  const a = c.operand();
  if (a === undefined) return false;
  const kind = c.pick(["aten::add", "aten::sub", "aten::mul", "aten::maximum", "aten::minimum", "aten::rsub"]);
  if (kind !== "aten::maximum" && kind !== "aten::minimum" && c.chance(40)) {
    if (a.dtype === "bool" && kind !== "aten::mul" && kind !== "aten::add") return false;
    const scalar = c.chance(50) ? c.int(-3, 3) : float(c.pick([-1.5, 0.25, 2.0, 0.1]));
    const dtype = typeof scalar === "object" ? "float32" : a.dtype === "bool" ? "int64" : a.dtype;
    c.call(kind, kind === "aten::mul" ? [a, scalar] : [a, scalar, 1], { shape: a.shape, dtype, exact: a.exact });
    return true;
  }
  const b = partner(c, a, () => true);
  if (b === undefined) return false;
  const dtype = promote(a, b);
  if (dtype === "bool" && kind !== "aten::mul" && kind !== "aten::add") return false;
  if ((a.dtype === "bool" || b.dtype === "bool") && /sub/.test(kind)) return false;
  const result = { shape: broadcast(a.shape, b.shape) as number[], dtype, exact: a.exact && b.exact };
  if (/add|sub/.test(kind)) c.call(kind, [a, b, dtype === "bool" ? 1 : c.pick([1, 1, 2, -1])], result);
  else c.call(kind, [a, b], result);
  return true;
};

const division: Step = (c) => {
  const a = c.operand(isNumber);
  const b = a && partner(c, a, (x) => isNumber(x));
  if (a === undefined || b === undefined) return false;
  const shape = broadcast(a.shape, b.shape) as number[];
  if (c.chance(50)) {
    const divisor = isFloat(b)
      ? tamed(c, b, "positive")
      : (c.call("aten::__or__", [b, 1], { shape: b.shape, dtype: b.dtype, exact: b.exact })[0] as Operand);
    const dtype = promote(a, b);
    c.call("aten::div", [a, divisor], { shape, dtype: "float32", exact: dtype === "float32" && a.exact && b.exact });
    return true;
  }
  if (!isInt(a) || !isInt(b) || !a.exact || !b.exact) return false;
  // An odd number is none that divides badly: never 0.
  const [divisor] = c.call("aten::__or__", [b, 1], { shape: b.shape, dtype: b.dtype, exact: true });
  const result = { shape, dtype: promote(a, b), exact: true };
  const kind = c.pick(["aten::floor_divide", "aten::remainder", "aten::fmod", "trunc", "floor"]);
  if (kind.startsWith("aten::")) c.call(kind, [a, divisor as Operand], result);
  else c.call("aten::div", [a, divisor as Operand, kind], result);
  return true;
};

const comparison: Step = (c) => {
  const a = c.operand((x) => x.exact);
  if (a === undefined) return false;
  const kind = `aten::${c.pick(["eq", "ne", "lt", "le", "gt", "ge"])}`;
  if (c.chance(40)) {
    c.call(kind, [a, c.chance(50) ? c.int(-1, 2) : float(0.5)], { shape: a.shape, dtype: "bool", exact: true });
    return true;
  }
  const b = partner(c, a, (x) => x.exact);
  if (b === undefined) return false;
  c.call(kind, [a, b], { shape: broadcast(a.shape, b.shape) as number[], dtype: "bool", exact: true });
  return true;
};

const logic: Step = (c) => {
  const a = c.operand((x) => x.exact);
  const b = a && partner(c, a, (x) => x.exact);
  if (a === undefined || b === undefined) return false;
  const shape = broadcast(a.shape, b.shape) as number[];
  if (isFloat(a) || isFloat(b) || c.chance(50)) {
    c.call(`aten::logical_${c.pick(["and", "or", "xor"])}`, [a, b], { shape, dtype: "bool", exact: true });
  } else {
    const kind = c.pick(["__and__", "__or__", "__xor__", "bitwise_and", "bitwise_or", "bitwise_xor"]);
    c.call(`aten::${kind}`, [a, b], { shape, dtype: promote(a, b), exact: true });
  }
  return true;
};

const choice: Step = (c) => {
  const condition = c.operand(({ dtype }) => dtype === "bool");
  const a = condition && partner(c, condition, () => true);
  const b = a && partner(c, a, ({ dtype }) => dtype === a.dtype);
  if (condition === undefined || a === undefined || b === undefined) return false;
  const exact = a.exact && b.exact && condition.exact;
  const shape = broadcast(condition.shape, broadcast(a.shape, b.shape) as number[]);
  if (shape === undefined) return false;
  if (c.chance(40) && broadcast(condition.shape, a.shape)?.length === a.shape.length && isNumber(a)) {
    if (String(broadcast(condition.shape, a.shape)) !== String(a.shape)) return false;
    c.call("aten::masked_fill", [a, condition, 3], {
      shape: a.shape,
      dtype: a.dtype,
      exact: a.exact && condition.exact,
    });
  } else c.call("aten::where", [condition, a, b], { shape, dtype: a.dtype, exact });
  return true;
};

const cast: Step = (c) => {
  const x = c.operand((y) => y.exact);
  if (x === undefined) return false;
  const dtype = c.pick<Dtype>(["float32", "int64", "int32", "bool"]);
  c.call("aten::to", [x, dtypeCode(dtype), false, false, null], { shape: x.shape, dtype, exact: true });
  return true;
};

const reduction: Step = (c) => {
  const x = c.operand((y) => hasDims(y) && isFilled(y));
  if (x === undefined) return false;
  const keep = c.chance(50);
  const rank = x.shape.length;
  const axis = axisOf(c, x);
  const sumDtype: Dtype = isFloat(x) ? "float32" : "int64";
  const exact = x.exact && !isFloat(x);
  switch (c.int(0, 7)) {
    case 0: {
      const axes = [...new Set([axis, axisOf(c, x)])];
      const shape = without(x.shape, axes, keep);
      c.call("aten::sum", [x, ints(axes.map((a) => spelled(c, a, rank))), keep, null], {
        shape,
        dtype: sumDtype,
        exact,
      });
      return true;
    }
    case 1: {
      if (!isFloat(x)) return false;
      const axes = [...new Set([axis, axisOf(c, x)])];
      const kind = c.pick(["aten::mean", "aten::logsumexp", "aten::amax", "aten::amin"]);
      const args: Argument[] = [x, ints(axes.map((a) => spelled(c, a, rank))), keep];
      if (kind === "aten::mean") args.push(null);
      c.call(kind, args, { shape: without(x.shape, axes, keep), exact: x.exact && kind.startsWith("aten::am") });
      return true;
    }
    case 2: {
      const kind = c.pick(["aten::sum", "aten::max", "aten::min"]);
      if (kind === "aten::sum") c.call(kind, [x, null], { shape: [], dtype: sumDtype, exact });
      else c.call(kind, [x], { shape: [], dtype: x.dtype, exact: x.exact });
      return true;
    }
    case 3: {
      if (!x.distinct) return false;
      const shape = without(x.shape, [axis], keep);
      c.call(
        c.pick(["aten::max", "aten::min"]),
        [x, spelled(c, axis, rank), keep],
        { shape, exact: true },
        { shape, dtype: "int64", exact: true },
      );
      return true;
    }
    case 4: {
      if (!x.distinct) return false;
      const shape = without(x.shape, [axis], keep);
      c.call(c.pick(["aten::argmax", "aten::argmin"]), [x, spelled(c, axis, rank), keep], {
        shape,
        dtype: "int64",
        exact: true,
      });
      return true;
    }
    case 5: {
      const shape = without(x.shape, [axis], keep);
      const kind = c.pick(["aten::any", "aten::all"]);
      if (!x.exact) return false;
      c.call(kind, [x, spelled(c, axis, rank), keep], { shape, dtype: "bool", exact: true });
      return true;
    }
    case 6: {
      if (!isNumber(x)) return false;
      c.call("aten::cumsum", [x, spelled(c, axis, rank), null], { shape: x.shape, dtype: sumDtype, exact });
      return true;
    }
    default: {
      if (!isFloat(x) || (x.shape[axis] as number) < 2) return false;
      const shape = without(x.shape, [axis], keep);
      c.call(c.pick(["aten::std", "aten::var"]), [x, ints([axis]), c.chance(50), keep], { shape });
      return true;
    }
  }
};

const sorting: Step = (c) => {
  const x = c.operand((y) => y.distinct && hasDims(y) && isFilled(y));
  if (x === undefined) return false;
  const axis = axisOf(c, x);
  const indices = (shape: readonly number[]): Partial<Operand> => ({ shape, dtype: "int64", exact: true });
  if (c.chance(50)) {
    const k = c.int(1, x.shape[axis] as number);
    const shape = x.shape.map((size, i) => (i === axis ? k : size));
    c.call("aten::topk", [x, k, axis, c.chance(50), true], { shape, exact: true, distinct: true }, indices(shape));
  } else if (axis === 0) {
    c.call("aten::sort", [x, axis, c.chance(50)], moved(x, x.shape), indices(x.shape));
  } else c.call("aten::argsort", [x, axis, c.chance(50)], indices(x.shape));
  return true;
};

const softmax: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && hasDims(y) && isFilled(y));
  if (x === undefined) return false;
  const axis = spelled(c, axisOf(c, x), x.shape.length);
  c.call(c.pick(["aten::softmax", "aten::log_softmax"]), [x, axis, null], { shape: x.shape });
  return true;
};

const layerNorm: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && hasDims(y) && isFilled(y) && (y.shape.at(-1) as number) > 1);
  if (x === undefined) return false;
  const last = x.shape.at(-1) as number;
  const weight = c.chance(60) ? c.addInput([last], "float32", c.chance(70)) : null;
  c.call("aten::layer_norm", [x, ints([last]), weight, null, float(0.01), true], { shape: x.shape });
  return true;
};

const product: Step = (c) => {
  const a = c.operand((x) => isFloat(x) && hasDims(x) && isFilled(x));
  if (a === undefined) return false;
  const inner = a.shape.at(-1) as number;
  const columns = c.int(1, 4);
  if (c.chance(50)) {
    const weight = c.addInput([columns, inner], "float32", c.chance(80));
    const bias = c.chance(50) ? c.addInput([columns], "float32", true) : null;
    c.call("aten::linear", [a, weight, bias], { shape: [...a.shape.slice(0, -1), columns] });
    return true;
  }
  const b = c.operand(
    (x) => isFloat(x) && x.shape.length >= 1 && isFilled(x) && x.shape.at(x.shape.length > 1 ? -2 : -1) === inner,
  );
  const other = b ?? c.addInput([inner, columns], "float32", c.chance(50));
  const left = a.shape.length === 1 ? [1, inner] : a.shape;
  const right = other.shape.length === 1 ? [inner, 1] : other.shape;
  const batch = broadcast(left.slice(0, -2), right.slice(0, -2));
  if (batch === undefined || batch.length > 3) return false;
  const shape = [...batch];
  if (a.shape.length > 1) shape.push(left.at(-2) as number);
  if (other.shape.length > 1) shape.push(right.at(-1) as number);
  c.call("aten::matmul", [a, other], { shape });
  return true;
};

const convolution: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && y.shape.length >= 3 && y.shape.length <= 4 && isFilled(y));
  if (x === undefined) return false;
  const spatial = x.shape.slice(2);
  const kernel = spatial.map((size) => c.int(1, Math.min(size, 3)));
  const padding = spatial.map(() => c.int(0, 1));
  const stride = spatial.map(() => c.int(1, 2));
  const sizes = spatial.map((size, i) =>
    Math.floor((size + 2 * (padding[i] as number) - (kernel[i] as number)) / (stride[i] as number) + 1),
  );
  const channels = x.shape[1] as number;
  const name = `aten::conv${spatial.length}d`;
  const out = c.int(1, 3) * (c.chance(30) ? channels : 1);
  const groups = out % channels === 0 && c.chance(30) ? channels : 1;
  const weight = c.addInput([out, channels / groups, ...kernel], "float32", c.chance(80));
  const bias = c.chance(50) ? c.addInput([out], "float32", true) : null;
  const shape = [x.shape[0] as number, out, ...sizes];
  const ones = ints(spatial.map(() => 1));
  const [y] = c.call(name, [x, weight, bias, ints(stride), ints(padding), ones, groups], { shape });
  if (c.chance(50)) {
    const [gamma, beta, mean] = [0, 1, 2].map(() => c.addInput([out], "float32", true)) as [Operand, Operand, Operand];
    const [squares] = c.call("aten::mul", [gamma, gamma], { shape: [out] });
    const [variance] = c.call("aten::add", [squares as Operand, float(0.5), 1], { shape: [out] });
    const args = [y as Operand, gamma, beta, mean, variance as Operand, false, float(0.1), float(1e-5), true];
    c.call("aten::batch_norm", args, { shape });
  }
  return true;
};

const pooling: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && y.shape.length === 4 && isFilled(y));
  if (x === undefined) return false;
  const spatial = x.shape.slice(2);
  if (c.chance(40)) {
    const sizes = spatial.map((size) => c.int(1, size));
    c.call("aten::adaptive_avg_pool2d", [x, ints(sizes)], { shape: [...x.shape.slice(0, 2), ...sizes] });
    return true;
  }
  const kernel = spatial.map((size) => c.int(1, Math.min(size, 3)));
  const stride = spatial.map(() => c.int(1, 2));
  const padding = kernel.map((size) => c.int(0, Math.floor(size / 2)));
  const ceil = c.chance(40);
  const sizes = spatial.map((size, i) => {
    const [k, s, p] = [kernel[i], stride[i], padding[i]] as [number, number, number];
    const steps = (size + 2 * p - k) / s;
    const count = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
    return ceil && (count - 1) * s >= size + p ? count - 1 : count;
  });
  const shape = [...x.shape.slice(0, 2), ...sizes];
  const args: Argument[] = [x, ints(kernel), ints(stride), ints(padding)];
  if (c.chance(50)) c.call("aten::max_pool2d", [...args, ints([1, 1]), ceil], { shape, exact: x.exact });
  else c.call("aten::avg_pool2d", [...args, ceil, c.chance(50), null], { shape });
  return true;
};

const movement: Step = (c) => {
  const x = c.operand(({ shape }) => shape.length <= 5);
  if (x === undefined) return false;
  const rank = x.shape.length;
  const axis = axisOf(c, x);
  const size = x.shape[axis] ?? 1;
  const at = spelled(c, axis, rank);
  switch (c.int(0, 15)) {
    case 0: {
      const order = x.shape.map((_, i) => i);
      for (let i = order.length - 1; i > 0; i--) {
        const j = c.int(0, i);
        [order[i], order[j]] = [order[j] as number, order[i] as number];
      }
      c.call(
        "aten::permute",
        [x, ints(order)],
        moved(
          x,
          order.map((i) => x.shape[i] as number),
        ),
      );
      return true;
    }
    case 1: {
      if (rank === 0) return false;
      const other = axisOf(c, x);
      const shape = [...x.shape];
      [shape[axis], shape[other]] = [shape[other] as number, shape[axis] as number];
      c.call("aten::transpose", [x, at, spelled(c, other, rank)], moved(x, shape));
      return true;
    }
    case 2: {
      const to = c.int(0, rank);
      c.call("aten::unsqueeze", [x, c.chance(40) ? to - rank - 1 : to], moved(x, x.shape.toSpliced(to, 0, 1)));
      return rank < 5;
    }
    case 3: {
      // A size that only happens to be 1 is kept where it is a range: only those that are 1 for good are squeezed.
      if (!x.name.startsWith("in")) {
        const [y] = c.call("aten::unsqueeze", [x, axis], moved(x, x.shape.toSpliced(axis, 0, 1)));
        c.call("aten::squeeze", [y as Operand, spelled(c, axis, rank + 1)], moved(x, x.shape));
      } else if (rank > 0 && c.chance(50)) {
        c.call("aten::squeeze", [x, at], moved(x, size === 1 ? x.shape.toSpliced(axis, 1) : x.shape));
      } else {
        const shape = x.shape.filter((d) => d !== 1);
        c.call("aten::squeeze", [x], moved(x, shape));
      }
      return true;
    }
    case 4: {
      if (rank === 0) return false;
      const end = c.int(axis, rank - 1);
      const shape = [...x.shape.slice(0, axis), numel(x.shape.slice(axis, end + 1)), ...x.shape.slice(end + 1)];
      c.call("aten::flatten", [x, at, spelled(c, end, rank)], moved(x, shape));
      return true;
    }
    case 5: {
      const total = numel(x.shape);
      const divisors = [1, 2, 3, 4, 6].filter((d) => total % d === 0);
      const first = c.pick(divisors);
      const shape = c.chance(50) ? [first, total / first] : [total / first, 1, first];
      const written = [...shape];
      if (total > 0 && c.chance(60)) written[c.int(0, shape.length - 1)] = -1;
      c.call("aten::reshape", [x, ints(written)], moved(x, shape));
      return true;
    }
    case 6: {
      if (rank === 0) return false;
      const start = c.int(-size - 1, size + 1);
      const end = c.int(-size - 1, size + 2);
      const step = c.int(1, 3);
      const clip = (v: number): number => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
      const count = Math.max(Math.ceil((clip(end) - clip(start)) / step), 0);
      if (count === 0 && !c.chance(5)) return false;
      const args: Argument[] = [x, at, c.chance(30) && start === 0 ? null : start, end, step];
      c.call("aten::slice", args, moved(x, x.shape.toSpliced(axis, 1, count)));
      return true;
    }
    case 7: {
      if (rank === 0 || size === 0) return false;
      c.call("aten::select", [x, at, c.int(-size, size - 1)], moved(x, x.shape.toSpliced(axis, 1)));
      return true;
    }
    case 8: {
      if (rank === 0) return false;
      const axes = [...new Set([axis, axisOf(c, x)])];
      c.call("aten::flip", [x, ints(axes)], moved(x, x.shape));
      return true;
    }
    case 9: {
      if (rank === 0) return false;
      c.call("aten::roll", [x, ints([c.int(-4, 4)]), ints([axis])], moved(x, x.shape));
      return true;
    }
    case 10: {
      const repeats = [...(c.chance(30) && rank < 4 ? [2] : []), ...x.shape.map(() => c.int(1, 2))];
      const sizes = [
        ...repeats.slice(0, repeats.length - rank),
        ...x.shape.map((d, i) => d * (repeats.at(i - rank) as number)),
      ];
      if (numel(sizes) > 400) return false;
      c.call("aten::repeat", [x, ints(repeats)], { ...moved(x, sizes), distinct: false });
      return true;
    }
    case 11: {
      const shape = [...(c.chance(30) && rank < 5 ? [2] : []), ...x.shape.map((d) => (d === 1 ? c.int(1, 3) : d))];
      const written = shape.map((d, i) =>
        i >= shape.length - rank && c.chance(30) && d === x.shape[i - shape.length + rank] ? -1 : d,
      );
      c.call("aten::expand", [x, ints(written), false], { ...moved(x, shape), distinct: false });
      return true;
    }
    case 12: {
      if (rank === 0 || size < 2) return false;
      const part = c.int(1, size - 1);
      const sizes = Array.from({ length: Math.ceil(size / part) }, (_, i) => Math.min(part, size - i * part));
      const results = sizes.map((d) => moved(x, x.shape.toSpliced(axis, 1, d)));
      c.callList("aten::split", [x, part, at], results);
      return true;
    }
    case 13: {
      if (rank < 2 || rank > 4 || !isFloat(x)) return false;
      const pads = Array.from({ length: 2 * c.int(1, 2) }, () => c.int(-1, 2));
      const shape = [...x.shape];
      for (let i = 0; i < pads.length / 2; i++) {
        shape[rank - 1 - i] = (shape[rank - 1 - i] as number) + (pads[2 * i] as number) + (pads[2 * i + 1] as number);
      }
      if (shape.some((d) => d < 1)) return false;
      const added = pads.some((p) => p > 0);
      c.call("aten::constant_pad_nd", [x, ints(pads), c.int(-1, 1)], {
        ...moved(x, shape),
        distinct: x.distinct && !added,
      });
      return true;
    }
    case 14: {
      if (rank < 2) return false;
      c.call(c.pick(["aten::tril", "aten::triu"]), [x, c.int(-2, 2)], { ...moved(x, x.shape), distinct: false });
      return true;
    }
    default: {
      if (rank === 0 || size === 0 || size > 4) return false;
      const results = Array.from({ length: size }, () => moved(x, x.shape.toSpliced(axis, 1)));
      c.callList("aten::unbind", [x, at], results);
      return true;
    }
  }
};

const joining: Step = (c) => {
  const a = c.operand(hasDims);
  if (a === undefined) return false;
  const axis = axisOf(c, a);
  const at = spelled(c, axis, a.shape.length);
  if (c.chance(60)) {
    const fits = ({ shape }: Operand): boolean =>
      shape.length === a.shape.length && shape.every((size, i) => i === axis || size === a.shape[i]);
    const b = c.operand(fits);
    if (b === undefined) return false;
    const list = c.chance(30) ? [a, b, a] : [a, b];
    const size = list.reduce((sum, { shape }) => sum + (shape[axis] as number), 0);
    const result = { shape: a.shape.toSpliced(axis, 1, size), dtype: promote(a, b), exact: a.exact && b.exact };
    c.call("aten::cat", [tensors(list), at], result);
    return true;
  }
  const b = c.operand(({ shape, dtype }) => String(shape) === String(a.shape) && dtype === a.dtype);
  if (b === undefined || a.shape.length > 4) return false;
  const to = c.int(0, a.shape.length);
  const result = { shape: a.shape.toSpliced(to, 0, 2), dtype: a.dtype, exact: a.exact && b.exact };
  c.call("aten::stack", [tensors([a, b]), to], result);
  return true;
};

const indexing: Step = (c) => {
  const x = c.operand((y) => hasDims(y) && isFilled(y));
  if (x === undefined) return false;
  const axis = axisOf(c, x);
  const size = x.shape[axis] as number;
  const index = c.operand((y) => y.dtype === "int64" && y.exact && isFilled(y));
  if (index === undefined) return false;
  // Whatever the numbers are, they become positions.
  const [positions] = c.call("aten::remainder", [index, size], { shape: index.shape, dtype: "int64", exact: true });
  const where = positions as Operand;
  const exact = { dtype: x.dtype, exact: x.exact };
  switch (c.int(0, 3)) {
    case 0: {
      const [flat] = c.call("aten::flatten", [where, 0, -1], {
        shape: [numel(index.shape)],
        dtype: "int64",
        exact: true,
      });
      const shape = x.shape.toSpliced(axis, 1, numel(index.shape));
      if (numel(shape) > 400) return true;
      c.call("aten::index_select", [x, spelled(c, axis, x.shape.length), flat as Operand], { shape, ...exact });
      return true;
    }
    case 1: {
      if (index.shape.length !== x.shape.length) return true;
      if (index.shape.some((d, i) => i !== axis && d > (x.shape[i] as number))) return true;
      c.call("aten::gather", [x, axis, where, false], { shape: index.shape, ...exact });
      return true;
    }
    case 2: {
      if (index.shape.length + x.shape.length > 6) return true;
      const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)];
      if (numel(shape) > 400) return true;
      const indices = x.shape.slice(0, axis + 1).map((_, i) => (i === axis ? where : null));
      c.call("aten::index", [x, { list: indices, of: "Tensor?" }], { shape, ...exact });
      return true;
    }
    default: {
      if (index.shape.length !== x.shape.length || !isFloat(x)) return true;
      if (index.shape.some((d, i) => d > (x.shape[i] as number))) return true;
      const source = c.operand((y) => isFloat(y) && String(y.shape) === String(index.shape));
      if (source === undefined) return true;
      c.call("aten::scatter_add", [x, axis, where, source], { shape: x.shape });
      return true;
    }
  }
};

/** Memory of its own, perhaps a view of it, and a write through that: both are used afterwards. */
const write: Step = (c) => {
  const x = c.operand((y) => isNumber(y) && y.shape.length <= 4);
  if (x === undefined) return false;
  const earlier = new Set(c.operands);
  const [own] = c.call("aten::mul", [x, 2], { ...moved(x, x.shape), distinct: false });
  let view = own as Operand;
  for (let i = c.int(0, 2); i > 0 && hasDims(view); i--) {
    const axis = axisOf(c, view);
    const size = view.shape[axis] as number;
    const base = { ...view, distinct: false };
    switch (c.int(0, 3)) {
      case 0: {
        if (size === 0) break;
        const picked = moved(base, view.shape.toSpliced(axis, 1));
        view = c.call("aten::select", [view, axis, c.int(-size, size - 1)], picked)[0] as Operand;
        break;
      }
      case 1: {
        if (size < 2) break;
        const sliced = moved(base, view.shape.toSpliced(axis, 1, size - 1));
        const [start, end] = c.pick([
          [1, size],
          [0, -1],
        ] as const);
        view = c.call("aten::slice", [view, axis, start, end, 1], sliced)[0] as Operand;
        break;
      }
      case 2: {
        const shape = [...view.shape];
        [shape[0], shape[axis]] = [shape[axis] as number, shape[0] as number];
        view = c.call("aten::transpose", [view, 0, axis], moved(base, shape))[0] as Operand;
        break;
      }
      default:
        view = c.call("aten::unsqueeze", [view, axis], moved(base, view.shape.toSpliced(axis, 0, 1)))[0] as Operand;
    }
  }
  const result = { shape: view.shape, dtype: view.dtype };
  const other = c.operand(
    (y) => earlier.has(y) && y.dtype === view.dtype && String(broadcast(view.shape, y.shape)) === String(view.shape),
  );
  switch (c.int(0, 5)) {
    case 0:
      c.call("aten::add_", [view, other ?? 1, 1], result);
      break;
    case 1:
      c.call("aten::mul_", [view, other ?? 3], result);
      break;
    case 2:
      c.call("aten::fill_", [view, c.int(-2, 2)], result);
      break;
    case 3:
      c.call("aten::relu_", [view], result);
      break;
    case 4:
      if (other === undefined) c.call("aten::zero_", [view], result);
      else c.call("aten::copy_", [view, other, false], result);
      break;
    default:
      c.call("aten::clamp_", [view, -1, 2], result);
  }
  return true;
};

const sizes: Step = (c) => {
  const x = c.operand((y) => hasDims(y) && y.shape.length <= 4);
  if (x === undefined) return false;
  const axis = axisOf(c, x);
  const size = c.scalar("int", "aten::size", [x, axis]);
  switch (c.int(0, 2)) {
    case 0: {
      // Everything but one dim in one.
      const order = [axis, ...x.shape.map((_, i) => i).filter((i) => i !== axis)];
      const [turned] = c.call(
        "aten::permute",
        [x, ints(order)],
        moved(
          x,
          order.map((i) => x.shape[i] as number),
        ),
      );
      const rest = numel(x.shape) / Math.max(x.shape[axis] as number, 1);
      if (numel(x.shape) === 0) return true;
      c.call(
        "aten::reshape",
        [turned as Operand, { list: [size, -1], of: "int" }],
        moved(x, [x.shape[axis] as number, rest]),
      );
      return true;
    }
    case 1: {
      const half = c.scalar("int", "aten::floordiv", [size, 2]);
      const count = Math.floor((x.shape[axis] as number) / 2);
      if (count === 0) return true;
      c.call("aten::slice", [x, axis, null, half, 1], moved(x, x.shape.toSpliced(axis, 1, count)));
      return true;
    }
    default: {
      const [range] = c.call("aten::arange", [size, 4, null, null, null], {
        shape: [x.shape[axis] as number],
        dtype: "int64",
        exact: true,
        distinct: false,
      });
      c.call("aten::mul", [range as Operand, size], { shape: (range as Operand).shape, dtype: "int64", exact: true });
      return true;
    }
  }
};

const blockProduct: Step = (c) => {
  const a = c.operand((x) => isFloat(x) && x.shape.length === 3 && isFilled(x));
  if (a === undefined) return false;
  const [batch, rows, inner] = a.shape as [number, number, number];
  const columns = c.int(1, 4);
  const b = c.addInput([batch, inner, columns], "float32");
  const shape = [batch, rows, columns];
  switch (c.int(0, 2)) {
    case 0: {
      const bias = c.addInput(c.pick([[columns], [rows, 1], shape]), "float32", c.chance(50));
      c.call("aten::baddbmm", [bias, a, b, c.pick([1, 2]), float(0.5)], { shape });
      return true;
    }
    case 1:
      c.call("aten::einsum", ["bij,bjk->bik", tensors([a, b]), null], { shape });
      return true;
    default:
      c.call("aten::einsum", ["bij,bjk->bk", tensors([a, b]), null], { shape: [batch, columns] });
      return true;
  }
};

const attention: Step = (c) => {
  const q = c.operand((x) => isFloat(x) && x.shape.length >= 3 && x.shape.length <= 4 && isFilled(x));
  if (q === undefined) return false;
  const keys = c.int(1, 5);
  const lead = q.shape.slice(0, -2);
  const [rows, width] = q.shape.slice(-2) as [number, number];
  const [k, v] = [0, 1].map(() => c.addInput([...lead, keys, width], "float32")) as [Operand, Operand];
  const causal = c.chance(30);
  const mask = causal || c.chance(50) ? null : c.addInput([rows, keys], c.pick<Dtype>(["float32", "float32"]));
  const scale = c.chance(50) ? null : float(0.3);
  c.call("aten::scaled_dot_product_attention", [q, k, v, mask, float(0), causal, scale, false], { shape: q.shape });
  return true;
};

const channelNorm: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && y.shape.length >= 3 && y.shape.length <= 4 && numel(y.shape.slice(2)) > 1);
  if (x === undefined) return false;
  const channels = x.shape[1] as number;
  const weight = c.chance(50) ? c.addInput([channels], "float32", true) : null;
  if (c.chance(50)) {
    const groups = c.pick([1, 2, 3, channels].filter((g) => channels % g === 0 && g > 0));
    c.call("aten::group_norm", [x, groups, weight, null, float(0.01), true], { shape: x.shape });
  } else {
    c.call("aten::instance_norm", [x, weight, null, null, null, true, float(0.1), float(0.01), true], {
      shape: x.shape,
    });
  }
  return true;
};

const resizing: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && y.shape.length === 4 && isFilled(y));
  if (x === undefined) return false;
  const to = [c.int(1, 8), c.int(1, 8)];
  const shape = [...x.shape.slice(0, 2), ...to];
  if (c.chance(50)) c.call("aten::upsample_nearest2d", [x, ints(to), null, null], { shape, exact: x.exact });
  else c.call("aten::upsample_bilinear2d", [x, ints(to), c.chance(50), null, null], { shape });
  return true;
};

const clamping: Step = (c) => {
  const x = c.operand(isNumber);
  if (x === undefined) return false;
  const [low, high] = c.pick([
    [-1, 1],
    [null, 2],
    [0, null],
  ] as const);
  c.call("aten::clamp", [x, low, high], { shape: x.shape, dtype: x.dtype, exact: x.exact });
  return true;
};

const power: Step = (c) => {
  const x = c.operand(isNumber);
  if (x === undefined) return false;
  if (isInt(x)) c.call("aten::pow", [x, c.pick([0, 1, 2, 3])], { shape: x.shape, dtype: x.dtype, exact: x.exact });
  else c.call("aten::pow", [tamed(c, x, "unit"), c.pick([2, 3])], { shape: x.shape });
  return true;
};

const rearrangement: Step = (c) => {
  const x = c.operand((y) => hasDims(y) && y.shape.length <= 4);
  if (x === undefined) return false;
  const rank = x.shape.length;
  const axis = axisOf(c, x);
  const at = spelled(c, axis, rank);
  const size = x.shape[axis] as number;
  const copies = (shape: readonly number[]): Partial<Operand> => ({ ...moved(x, shape), distinct: false });
  switch (c.int(0, 7)) {
    case 0: {
      const times = c.int(1, 3);
      if (numel(x.shape) * times > 400) return false;
      c.call("aten::repeat_interleave", [x, times, at, null], copies(x.shape.toSpliced(axis, 1, size * times)));
      return true;
    }
    case 1: {
      if (size === 0) return false;
      const start = c.int(0, size - 1);
      const length = c.int(0, size - start);
      if (length === 0) return false;
      c.call("aten::narrow", [x, at, start, length], moved(x, x.shape.toSpliced(axis, 1, length)));
      return true;
    }
    case 2: {
      if (rank < 2) return false;
      const [a, b] = x.shape.slice(0, 2) as [number, number];
      const offset = c.int(-1, 1);
      const length = Math.max(Math.min(offset < 0 ? a + offset : a, offset > 0 ? b - offset : b), 0);
      if (length === 0) return false;
      c.call("aten::diagonal", [x, offset, 0, 1], moved(x, [...x.shape.slice(2), length]));
      return true;
    }
    case 3: {
      const divisors = [1, 2, 3].filter((d) => size % d === 0);
      const d = c.pick(divisors);
      const sizes = c.chance(50) ? [d, -1] : [-1, d];
      if (size === 0) return false;
      const shape = x.shape.toSpliced(axis, 1, ...sizes.map((s) => (s === -1 ? size / d : s)));
      c.call("aten::unflatten", [x, at, ints(sizes)], moved(x, shape));
      return true;
    }
    case 4: {
      const to = axisOf(c, x);
      const shape = x.shape.toSpliced(axis, 1).toSpliced(to, 0, size);
      c.call("aten::movedim", [x, axis, to], moved(x, shape));
      return true;
    }
    case 5: {
      const parts = c.int(1, Math.max(size, 1));
      const each = Math.ceil(size / parts);
      if (size === 0) return false;
      const sizes = Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each));
      c.callList(
        "aten::chunk",
        [x, parts, at],
        sizes.map((s) => moved(x, x.shape.toSpliced(axis, 1, s))),
      );
      return true;
    }
    case 6: {
      if (!isFloat(x) || size % 2 !== 0 || size === 0) return false;
      c.call("aten::glu", [x, at], { shape: x.shape.toSpliced(axis, 1, size / 2) });
      return true;
    }
    default: {
      const last = x.shape.at(-1) as number;
      if (!isFloat(x) || rank < 2 || rank > 3 || last < 2) return false;
      const pads = [c.int(0, last - 1), c.int(0, last - 1)];
      const kind = c.pick(["aten::reflection_pad1d", "aten::replication_pad1d"]);
      const sum = (pads[0] as number) + (pads[1] as number);
      c.call(kind, [x, ints(pads)], copies([...x.shape.slice(0, -1), last + sum]));
      return true;
    }
  }
};

const statistics: Step = (c) => {
  const x = c.operand((y) => hasDims(y) && isFilled(y) && isNumber(y));
  if (x === undefined) return false;
  const axis = axisOf(c, x);
  const keep = c.chance(50);
  const shape = without(x.shape, [axis], keep);
  switch (c.int(0, 3)) {
    case 0: {
      if (isFloat(x)) c.call("aten::prod", [tamed(c, x, "unit"), axis, keep, null], { shape });
      else if (numel(x.shape) > 30) return false;
      else c.call("aten::prod", [x, axis, keep, null], { shape, dtype: "int64", exact: x.exact });
      return true;
    }
    case 1: {
      if (!isFloat(x)) return false;
      c.call("aten::linalg_vector_norm", [x, c.pick([1, 2]), ints([axis]), keep, null], { shape });
      return true;
    }
    case 2: {
      if (!isFloat(x)) return false;
      c.call("aten::cumprod", [tamed(c, x, "unit"), axis, null], { shape: x.shape });
      return true;
    }
    default: {
      const edges = c.addInput([], "float32");
      const [scaled] = c.call("aten::mul", [edges, 0], { shape: [], exact: true });
      const [boundaries] = c.call(
        "aten::add",
        [
          c.call("aten::arange", [4, 6, null, null, null], { shape: [4], exact: true })[0] as Operand,
          scaled as Operand,
          1,
        ],
        { shape: [4], exact: true },
      );
      if (!x.exact) return true;
      c.call("aten::bucketize", [x, boundaries as Operand, false, c.chance(50)], {
        shape: x.shape,
        dtype: "int64",
        exact: true,
      });
      return true;
    }
  }
};

/** Values put at positions, in memory of its own. */
const putting: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && hasDims(y) && isFilled(y));
  const index = c.operand((y) => y.dtype === "int64" && y.exact && y.shape.length === 1 && isFilled(y));
  if (x === undefined || index === undefined) return false;
  const size = x.shape[0] as number;
  const count = index.shape[0] as number;
  // With one number for all it does not matter which of equal positions is written last.
  const [positions] = c.call("aten::remainder", [index, size], { shape: index.shape, dtype: "int64", exact: true });
  const [own] = c.call("aten::mul", [x, 2], { shape: x.shape, exact: x.exact });
  const accumulate = c.chance(50);
  const values = c.addInput(accumulate ? [count, ...x.shape.slice(1)] : [], "float32");
  const where: Argument = { list: [positions as Operand], of: "Tensor?" };
  const kind = c.pick(["aten::index_put", "aten::index_put_"]);
  c.call(kind, [own as Operand, where, values, accumulate], { shape: x.shape });
  return true;
};

/** A branch on a size, or on data. */
const branch: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && isFilled(y));
  if (x === undefined) return false;
  let condition: Argument;
  if (c.chance(60) && hasDims(x)) {
    const size = c.scalar("int", "aten::size", [x, 0]);
    condition = c.scalar("bool", c.pick(["aten::gt", "aten::eq", "aten::le"]), [size, c.int(1, 5)]);
  } else {
    const [sum] = c.call("aten::sum", [c.addInput([3], "float32"), null], { shape: [] });
    const [positive] = c.call("aten::gt", [sum as Operand, 0], { shape: [], dtype: "bool" });
    condition = c.scalar("bool", "aten::Bool", [positive as Operand]);
  }
  const [name, then, otherwise] = [c.fresh("v"), c.fresh("t"), c.fresh("t")];
  const [a, b] = [c.pick(["relu", "tanh", "neg"]), c.pick(["sigmoid", "abs", "sin"])];
  const tensor = c.literal(x);
  const lines = [
    `  %${name} : Tensor = prim::If(${c.literal(condition)})`,
    "    block0():",
    `      %${then} : Tensor = aten::${a}(${tensor})`,
    `      -> (%${then})`,
    "    block1():",
    `      %${otherwise} : Tensor = aten::${b}(${tensor})`,
    `      -> (%${otherwise})`,
  ];
  c.text(lines, { name, shape: x.shape });
  return true;
};

/** A loop that carries a tensor: of known length, or as long as a size. */
const loop: Step = (c) => {
  const x = c.operand((y) => isFloat(y) && isFilled(y));
  if (x === undefined) return false;
  const trips = c.chance(60) || !hasDims(x) ? c.int(0, 3) : c.scalar("int", "aten::size", [x, 0]);
  const [name, i, carried, scaled, next] = ["v", "i", "t", "t", "t"].map((prefix) => c.fresh(prefix));
  const [tensor, count, yes, half, one] = [x, trips, true, float(0.5), 1].map((argument) => c.literal(argument));
  const lines = [
    `  %${name} : Tensor = prim::Loop(${count}, ${yes}, ${tensor})`,
    `    block0(%${i} : int, %${carried} : Tensor):`,
    `      %${scaled} : Tensor = aten::mul(%${carried}, ${half})`,
    `      %${next} : Tensor = aten::add(%${scaled}, ${c.chance(50) ? tensor : `%${i}`}, ${one})`,
    `      -> (${yes}, %${next})`,
  ];
  c.text(lines, { name: name as string, shape: x.shape });
  return true;
};

/** A number out of a tensor, used in arithmetic. */
const item: Step = (c) => {
  const x = c.operand((y) => isNumber(y) && isFilled(y));
  if (x === undefined) return false;
  const number = c.addInput([], c.pick<Dtype>(["int64", "int64", "int64", "float32"]));
  const scalar = c.scalar("Scalar", "aten::item", [number]);
  const dtype = number.dtype === "float32" ? "float32" : x.dtype;
  c.call("aten::mul", [x, scalar], { shape: x.shape, dtype, exact: x.exact });
  return true;
};

/** Every kind of step with how often it is taken. */
const STEPS: readonly (readonly [weight: number, step: Step])[] = [
  [6, arithmetic],
  [3, division],
  [3, comparison],
  [2, logic],
  [3, choice],
  [2, cast],
  [5, reduction],
  [2, sorting],
  [2, softmax],
  [1, layerNorm],
  [4, product],
  [2, convolution],
  [2, pooling],
  [12, movement],
  [4, joining],
  [3, indexing],
  [4, write],
  [3, sizes],
  [2, blockProduct],
  [1, attention],
  [1, channelNorm],
  [1, resizing],
  [2, clamping],
  [2, power],
  [5, rearrangement],
  [2, statistics],
  [2, putting],
  [2, branch],
  [2, loop],
  [1, item],
  [2, unary(["aten::relu", "aten::neg", "aten::abs"], isNumber, true)],
  [
    2,
    unary(
      ["aten::floor", "aten::ceil", "aten::round", "aten::trunc", "aten::sign"],
      (x) => isFloat(x) && x.exact,
      true,
    ),
  ],
  [
    2,
    unary(
      [
        "aten::sigmoid",
        "aten::tanh",
        "aten::erf",
        "aten::silu",
        "aten::mish",
        "aten::hardswish",
        "aten::hardsigmoid",
        "aten::sin",
        "aten::cos",
      ],
      isFloat,
      false,
    ),
  ],
  [1, unary(["aten::logical_not"], (x) => x.exact, true, "bool")],
  [1, unary(["aten::sigmoid"], isInt, false, "float32")],
  [
    1,
    tamedUnary(["aten::log", "aten::sqrt", "aten::rsqrt", "aten::reciprocal", "aten::log1p", "aten::log2"], "positive"),
  ],
  [
    1,
    tamedUnary(
      ["aten::exp", "aten::asin", "aten::acos", "aten::atanh", "aten::expm1", "aten::tan", "aten::cosh"],
      "unit",
    ),
  ],
];

const TOTAL = STEPS.reduce((sum, [weight]) => sum + weight, 0);

/** A composition of `count` steps over a few inputs. */
export function compose(c: Composer, count: number): void {
  const sizes = [c.int(1, 4), c.int(1, 4), c.int(2, 6)];
  const shape = (rank: number): number[] => Array.from({ length: rank }, () => c.pick([...sizes, ...sizes, 1]));
  for (let i = c.int(1, 3); i > 0; i--) {
    const dtype = c.pick<Dtype>(["float32", "float32", "float32", "int64", "int32", "bool"]);
    c.addInput(shape(c.pick([0, 1, 2, 2, 3, 3, 4])), dtype, false);
  }
  for (let steps = 0, tries = 0; steps < count && tries < 100; tries++) {
    let at = c.int(0, TOTAL - 1);
    const found = STEPS.find(([weight]) => {
      at -= weight;
      return at < 0;
    }) as (typeof STEPS)[number];
    if (found[1](c)) steps++;
  }
}
