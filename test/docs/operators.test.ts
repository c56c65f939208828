import { readFileSync } from "node:fs";
import t from "tap";
import { OPERATORS_FILE, operatorsDocument } from "./operators.js";

t.test("docs/OPERATORS.md is what the registry says", async (t) => {
  const written = readFileSync(OPERATORS_FILE, "utf8").split("\n");
  const current = operatorsDocument().split("\n");
  const stale = current.filter((line) => !written.includes(line)).concat(written.filter((l) => !current.includes(l)));
  t.strictSame(stale, [], "npm run docs writes it anew");
});
