import { constants } from "node:buffer";
import { readFileSync, truncateSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { mapFile } from "../../src/util/mapped-file.js";

t.test("the bytes of a file", async (t) => {
  const path = fileURLToPath(import.meta.url);
  t.equal(Buffer.compare(mapFile(path), readFileSync(path)), 0);
  t.equal(mapFile(`${t.testdir({ empty: "" })}/empty`).byteLength, 0);
  t.throws(() => mapFile("/no/such/file"), {
    code: "archive",
    message: "cannot read /no/such/file: there is no such file",
  });
});

const beyond = constants.MAX_LENGTH > 2 ** 40 ? "this Node.js takes files of any size" : false;
t.test("a file larger than Node.js takes", { skip: beyond }, async (t) => {
  const path = `${t.testdir({ huge: "" })}/huge`;
  truncateSync(path, constants.MAX_LENGTH + 1);
  t.throws(() => mapFile(path), { code: "archive", message: /more than the 4 GiB that this Node.js takes/ });
});
