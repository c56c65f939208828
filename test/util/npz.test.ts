import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { ScalarType } from "../../src/ir/scalar-type.js";
import { Tensor } from "../../src/ir/tensor.js";
import { readNpz, writeNpz } from "../../src/util/npz.js";
import { readZip } from "../../src/util/zip.js";
import { writeZip } from "../torchscript/zip-writer.js";

const DTYPES: readonly ScalarType[] = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "int16",
  "int8",
  "uint8",
  "bool",
];

function examples(): Map<string, Tensor> {
  const arrays = new Map(DTYPES.map((dtype) => [dtype, Tensor.of(dtype, [2, 3], [0, 1, 1, 0, 1, 0])] as const));
  return new Map<string, Tensor>([
    ...arrays,
    ["scalar", Tensor.scalar("float32", 2.5)],
    ["vector", Tensor.of("int64", [3], [-1, 2 ** 40, 3])],
    ["empty", Tensor.of("float32", [0, 4], [])],
  ]);
}

function same(t: Test, got: ReadonlyMap<string, Tensor>, want: ReadonlyMap<string, Tensor>): void {
  t.same([...got.keys()], [...want.keys()]);
  for (const [name, tensor] of want) {
    const read = got.get(name) as Tensor;
    t.same([read.dtype, read.sizes], [tensor.dtype, tensor.sizes], name);
    t.same(Array.from(read.toNumbers()), Array.from(tensor.toNumbers()), name);
  }
}

t.test("what is written is read again", async (t) => {
  const path = join(t.testdir(), "arrays.npz");
  await writeNpz(path, examples());
  same(t, readNpz(path), examples());
});

t.test("deflated arrays, as savez_compressed writes them", async (t) => {
  const [stored, deflated] = [join(t.testdir(), "stored.npz"), join(t.testdir(), "deflated.npz")];
  await writeNpz(stored, examples());
  const members = readZip(stored, readFileSync(stored));
  writeFileSync(
    deflated,
    writeZip(members.map((member) => ({ name: member.name, data: member.read(), deflate: true }))),
  );
  same(t, readNpz(deflated), examples());
});

t.test("recorded inputs and outputs", (t) => {
  const arrays = readNpz(new URL("../../../shared/models/lenet/io.npz", import.meta.url).pathname);
  t.ok(arrays.get("in0"));
  t.equal(arrays.get("in0")?.dtype, "float32");
  t.ok(arrays.get("out0")?.toNumbers().every(Number.isFinite));
  t.end();
});

t.test("NumPy reads it, and it reads NumPy's", async (t) => {
  const python = process.env.TRTORCH_TEST_PYTHON ?? "python3";
  try {
    execFileSync(python, ["-c", "import numpy"], { stdio: "ignore" });
  } catch {
    t.comment("skipped: no NumPy; set TRTORCH_TEST_PYTHON");
    return;
  }
  const folder = t.testdir();
  const [ours, theirs] = [join(folder, "ours.npz"), join(folder, "theirs.npz")];
  await writeNpz(ours, examples());
  const program = `
import numpy as np, sys, zipfile
a = np.load(sys.argv[1])
assert zipfile.ZipFile(sys.argv[1]).testzip() is None
assert a["float32"].tolist() == [[0, 1, 1], [0, 1, 0]] and a["float16"].dtype == np.float16 and a["bool"].dtype == np.bool_
assert a["scalar"].shape == () and a["empty"].shape == (0, 4) and a["vector"].tolist() == [-1, 2**40, 3]
np.savez_compressed(sys.argv[2], fortran=np.asfortranarray(np.arange(6.).reshape(2, 3)), big=np.arange(3, dtype=">i4"), half=np.ones(2, np.float16))
`;
  execFileSync(python, ["-c", program, ours, theirs]);
  same(
    t,
    readNpz(theirs),
    new Map([
      ["fortran", Tensor.of("float64", [2, 3], [0, 1, 2, 3, 4, 5])],
      ["big", Tensor.of("int32", [3], [0, 1, 2])],
      ["half", Tensor.of("float16", [2], [1, 1])],
    ]),
  );
});

t.test("what is no such file is said so", async (t) => {
  const folder = t.testdir({ "text.npz": "hello" });
  t.throws(() => readNpz(join(folder, "none.npz")), { code: "archive", message: /there is no such file/ });
  t.throws(() => readNpz(join(folder, "text.npz")), { code: "archive", message: /no \.npz file/ });
  const path = join(folder, "arrays.npz");
  await writeNpz(path, examples());
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.length - 100));
  t.throws(() => readNpz(path), { code: "archive" });
  // A member's size that the file does not bear out.
  bytes.writeUInt32LE(0xfffffff, bytes.length - 22 + 16);
  writeFileSync(path, bytes);
  t.throws(() => readNpz(path), { code: "archive", message: /the ZIP directory lies outside the file/ });
});
