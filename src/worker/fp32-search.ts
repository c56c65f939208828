import type { Layer, LayerType } from "../network/layers.js";
import type { Network } from "../network/network.js";
import { applyPrecision, layerPath } from "../network/precision.js";
import type { OutputComparison, Precision, Tolerance } from "../plan/job.js";
import { compareOnCpu, type Reference } from "./golden.js";

/** A network at a precision with some operators in fp32, beside a reference. */
export interface Measurement {
  readonly precision: Precision;
  readonly fp32Ops: readonly string[];
  readonly outputs: readonly OutputComparison[];
  /** Whether all outputs are within the tolerance. */
  readonly passed: boolean;
}

export interface Fp32Search {
  /** Nothing kept but what `applyPrecision` always keeps. */
  readonly without: Measurement;
  /** All operators kept in fp32; null where it was not needed to know. */
  readonly everything: Measurement | null;
  /** A set that meets the tolerance, and no longer does without any of its elements; null where there is none. */
  readonly found: Measurement | null;
}

export interface Fp32SearchOptions {
  readonly tolerance: Tolerance;
  /** Names operators as a whole, never those of single modules: fewer networks to run, shorter lists. */
  readonly wholeOperators?: boolean;
  /** Called after each network that was run. */
  readonly onMeasured?: (measurement: Measurement) => void;
}

/**
 * Finds the operators that have to stay fp32 for a network to meet a tolerance at a lower precision, by running it on the
 * CPU reference: first whole operators (`aten::softmax`), then of those the modules where it matters
 * (`encoder.0/aten::softmax`). The result is minimal, not always the smallest: another set may have fewer elements.
 */
export async function searchFp32Ops(
  network: Network,
  precision: Exclude<Precision, "fp32">,
  reference: Reference,
  options: Fp32SearchOptions,
): Promise<Fp32Search> {
  const known = new Map<string, Measurement>();
  const measure = async (fp32Ops: readonly string[]): Promise<Measurement> => {
    const key = fp32Ops.toSorted().join("\n");
    const before = known.get(key);
    if (before !== undefined) return before;
    const measurement = await measurePrecision(network, precision, fp32Ops, reference, options.tolerance);
    known.set(key, measurement);
    options.onMeasured?.(measurement);
    return measurement;
  };
  const passes = async (fp32Ops: readonly string[]): Promise<boolean> => (await measure(fp32Ops)).passed;

  const without = await measure([]);
  if (without.passed) return { without, everything: null, found: without };
  const places = findPlaces(network, precision);
  const everything = await measure([...places.keys()]);
  if (!everything.passed) return { without, everything, found: null };
  let names = await minimize([...places.keys()], passes);
  if (options.wholeOperators !== true) {
    const single = names.flatMap((operator) => {
      const own = places.get(operator) as readonly string[];
      return own.length > 1 ? own : [operator];
    });
    // Where all modules need it, the operator's own name says the same.
    const kept = new Set((await passes(single)) ? await minimize(single, passes) : names);
    const whole = names.filter((operator) =>
      (places.get(operator) as readonly string[]).every((name) => kept.has(name)),
    );
    const rest = [...kept].filter((name) => !whole.some((operator) => places.get(operator)?.includes(name)));
    names = await minimize([...whole, ...rest], passes);
  }
  return { without, everything, found: await measure(names) };
}

/** Runs the network at a precision on the CPU, and compares. */
export async function measurePrecision(
  network: Network,
  precision: Precision,
  fp32Ops: readonly string[],
  reference: Reference,
  tolerance: Tolerance,
): Promise<Measurement> {
  const lowered = applyPrecision(network, precision, { fp32Ops }).network;
  const outputs = await compareOnCpu(lowered, reference, tolerance);
  return { precision, fp32Ops, outputs, passed: outputs.every(({ passed }) => passed) };
}

/** What costs the most in fp32 is the first to be left out of a set. */
const EXPENSIVE: ReadonlySet<LayerType> = new Set<LayerType>([
  "kCONVOLUTION",
  "kDECONVOLUTION",
  "kMATRIX_MULTIPLY",
  "kEINSUM",
  "kATTENTION",
]);

/**
 * The operators that compute in the lower precision, and the names of each in the modules where it does. What costs most in
 * fp32 comes first.
 */
function findPlaces(network: Network, precision: Precision): Map<string, readonly string[]> {
  const asked: Layer[] = [];
  const { fp32Layers } = applyPrecision(network, precision, {
    fp32Ops: (layer) => {
      asked.push(layer);
      return false;
    },
  });
  const wide = new Set(fp32Layers.map(({ layer }) => layer));
  const operators = new Map<string, { names: Set<string>; layers: number; expensive: boolean }>();
  for (const layer of asked) {
    if (wide.has(layer.name)) continue;
    const { bare, operator } = layerPath(layer);
    const entry = operators.get(operator) ?? { names: new Set(), layers: 0, expensive: false };
    operators.set(operator, entry);
    entry.names.add(bare);
    entry.layers++;
    entry.expensive ||= EXPENSIVE.has(layer.type);
  }
  const sorted = [...operators].sort(
    ([, a], [, b]) => Number(b.expensive) - Number(a.expensive) || b.layers - a.layers,
  );
  return new Map(sorted.map(([operator, { names }]) => [operator, [...names]]));
}

/**
 * Of elements that pass together, some that do and of which none can be left out. Halves of them are tried first, then quarters,
 * and so on; elements at the front are left out before those at the back. Few needed ones of n take about log n trials each.
 */
async function minimize<T>(elements: readonly T[], passes: (some: readonly T[]) => Promise<boolean>): Promise<T[]> {
  let kept = [...elements];
  for (let size = Math.ceil(kept.length / 2), isMinimal = kept.length === 0; !isMinimal; size = Math.ceil(size / 2)) {
    isMinimal = size === 1;
    for (let at = 0; at < kept.length; ) {
      const rest = kept.toSpliced(at, size);
      if (await passes(rest)) {
        kept = rest;
        // What was needed beside it may no longer be.
        isMinimal = false;
      } else at += size;
    }
    if (kept.length === 0) return kept;
  }
  return kept;
}
