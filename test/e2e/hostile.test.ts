import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { torchscript, writeZip } from "../torchscript/zip-writer.js";
import { command } from "./command.js";

// Files that are damaged or made to do harm, through the real command: told at once, and in little memory.

const LENET = new URL("../fixtures/models/lenet/trace.ts", import.meta.url);
const MEGABYTE = 1_000_000;

const pickle = (opcodes: string): Buffer => Buffer.from(opcodes, "latin1");
const touch = "cos\nsystem\n(X\x0a\0\0\0touch pwndtR";

const files = [
  {
    name: "truncated",
    content: readFileSync(LENET).subarray(0, 200_000),
    says: "the archive is truncated: the directory that stands at the end of a ZIP file is missing (the file has 200000 bytes)",
  },
  {
    name: "os-system",
    content: writeZip(torchscript({ name: "m/data.pkl", data: pickle(`\x80\x02${touch}.`) })),
    says: "data.pkl asks for os.system, which is not among the classes and functions that models are made of",
  },
  {
    name: "ten-gigabytes-stored",
    content: writeZip(torchscript({ name: "m/data/0", data: "abcd", claims: { size: 10e9, compressedSize: 10e9 } })),
    says: "the member m/data/0 claims 10000000000 bytes, more than the file has left",
  },
  {
    name: "ten-gigabytes-deflated",
    content: writeZip(torchscript({ name: "m/code/a.py", data: "abcd", deflate: true, claims: { size: 10e9 } })),
    says: /: the member m\/code\/a\.py claims to inflate from \d+ to 10000000000 bytes$/m,
  },
];

for (const { name, content, says } of files) {
  t.test(name, async (t) => {
    const root = t.testdir({});
    writeFileSync(join(root, "model.ts"), content);
    for (const [args, code] of [
      [["check", "model.ts", "--input", "x=1x1x32x32"], 1],
      [["inspect", "model.ts"], 1],
    ] as const) {
      const run = command(root, ...args);
      const what = args[0];
      t.equal(run.code, code, `${what}: exit code`);
      t.match(run.stdout + run.stderr, says, what);
      t.notMatch(run.stdout + run.stderr, /internal error|\n\s+at .*\.js:\d/, `${what}: no stack`);
      t.ok(run.peak > 10 * MEGABYTE && run.peak < 400 * MEGABYTE, `${what}: ${Math.round(run.peak / MEGABYTE)} MB`);
      t.same(readdirSync(root), ["model.ts"], `${what}: nothing was run or written`);
      t.ok(run.seconds < 10, `${what}: ${run.seconds.toFixed(1)} s`);
    }
  });
}
