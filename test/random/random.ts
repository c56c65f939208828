/**
 * Random compositions of operators against PyTorch. Seeded: the same seed gives the same compositions.
 *
 *     TRTORCH_TEST_PYTHON=python3 npm run test:random -- [--count 10000] [--seed 1] [--only ID] [--tensorrt]
 *
 * Prints each failure with its graph, and at the end what was unsupported and how often. Exits with 1 on a failure.
 */
import { parseArgs } from "node:util";
import { testCompositions } from "./compositions.js";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    tensorrt: { type: "boolean", default: false },
  },
});
const python = process.env.TRTORCH_TEST_PYTHON;
if (python === undefined) {
  console.log("skipped: PyTorch computes the reference; set TRTORCH_TEST_PYTHON to a Python that has it");
  process.exit(0);
}
const [seed, count] = [Number(values.seed), Number(values.count)];
const only = values.only === undefined ? undefined : Number(values.only);
const totals = { agrees: 0, invalid: 0, unsupported: 0, fails: 0 };
const reasons = new Map<string, number>();
for await (const { id, composition, outcome } of testCompositions({
  python,
  seed,
  count,
  only,
  library: values.tensorrt,
})) {
  totals[outcome.kind]++;
  if (outcome.kind === "agrees") continue;
  if (outcome.kind === "fails") {
    console.log(`✗ --seed ${seed} --count ${count} --only ${id}: ${outcome.reason}\n${composition.irOfAll}`);
  } else {
    const key = `${outcome.kind}: ${outcome.reason.replace(/\d+/g, "N")}`;
    reasons.set(key, (reasons.get(key) ?? 0) + 1);
  }
}
for (const [reason, times] of [...reasons].sort((a, b) => b[1] - a[1])) console.log(`${times} × ${reason}`);
console.log(
  `random: ${totals.agrees} agree, ${totals.unsupported} unsupported, ${totals.fails} fail, ${totals.invalid} that PyTorch refuses`,
);
process.exit(totals.fails > 0 ? 1 : 0);
