import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { mapFile } from "../../src/util/mapped-file.js";

t.test("the bytes of a file", async (t) => {
  const path = fileURLToPath(import.meta.url);
  t.equal(Buffer.compare(mapFile(path), readFileSync(path)), 0);
  t.equal(mapFile(`${t.testdir({ empty: "" })}/empty`).byteLength, 0);
  t.throws(() => mapFile("/no/such/file"), { code: "ENOENT" });
});
