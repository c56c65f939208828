import { readdirSync } from "node:fs";
import t from "tap";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import type { Converter, Registry } from "../../src/conversion/registry.js";
import { TensorValue } from "../../src/conversion/values.js";
import type { InputSpec } from "../../src/ir/input-spec.js";
import { parseIR } from "../../src/ir/parser.js";
import { isFloatingPoint, isIntegral, type ScalarType } from "../../src/ir/scalar-type.js";
import { operatorName } from "../../src/ir/schema.js";
import { functionalize } from "../../src/lowering/functionalize.js";
import { LoweringReport } from "../../src/lowering/report.js";
import { type Case, casesFolder, readCases } from "./cases.js";

/** PyTorch refuses integers. */
const FLOATS_ONLY = /^aten::(_weight_norm|(group|instance|layer|rms)_norm|(lstm|gru|rnn_(relu|tanh))(_cell|\.input)$)/;

/**
 * The network has 8- and 16-bit integers as int32, and a tensor without a dtype counts as what the network has: what a
 * converter returns bare, or labels so, no longer wraps around where PyTorch's would.
 */
t.test("no converter makes int32 of 8- and 16-bit integers", (t) => {
  const registry = defaultRegistry();
  const widened = new Set<string>();
  let seen = 0;
  for (const { converter } of registry.entries()) {
    const watched: Converter = {
      ...converter,
      convert: (ctx, args) => {
        const result = converter.convert(ctx, args);
        const given = dtypesIn(Object.values(args));
        if (given.has("int8")) seen++;
        const asked = given.has("int32") || args.out_int32 === true;
        if (given.has("int8") && !asked && dtypesIn(result).has("int32")) widened.add(operatorName(converter.schema));
        return result;
      },
    };
    registry.register(watched);
  }
  const families = readdirSync(casesFolder()).filter((name) => name.endsWith(".yaml"));
  for (const family of families) {
    for (const entry of readCases(family.slice(0, -".yaml".length))) {
      for (const becomesInt8 of [isFloatingPoint, isIntegral]) tryConversion(entry, becomesInt8, registry);
    }
  }
  t.ok(seen > 500, `${seen} operators met int8`);
  t.strictSame([...widened].filter((name) => !FLOATS_ONLY.test(name)).sort(), []);
  t.end();
});

/** With inputs as int8, where the operators take it. */
function tryConversion(entry: Case, becomesInt8: (dtype: ScalarType) => boolean, registry: Registry): void {
  const specs = Object.entries({ ...entry.inputs, ...entry.constants }).map(([name, input]): InputSpec => {
    const { shape, dtype = "float32" } = "shape" in input ? input : { shape: input };
    return { name, dims: shape, dtype: becomesInt8(dtype) ? "int8" : dtype };
  });
  try {
    const graph = parseIR(entry.ir);
    functionalize(graph, new LoweringReport());
    convert(graph, { inputs: specs, registry, capabilities: { backend: "onnxruntime", version: [1, 30] } });
  } catch {
    // Many operators refuse integers, or inputs in place of constants.
  }
}

/** Dtypes, and those of tensors, in values and lists of them. */
function dtypesIn(value: unknown): Set<unknown> {
  if (Array.isArray(value)) return new Set(value.flatMap((item) => [...dtypesIn(item)]));
  if (value instanceof TensorValue) return new Set([value.dtype]);
  const isBare = typeof value === "object" && value !== null && "producer" in value && "type" in value;
  return new Set([isBare && value.type === "kINT32" ? "int32" : value]);
}
