import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import t from "tap";
import { Archive } from "../../src/torchscript/archive.js";
import { TrtorchError } from "../../src/util/errors.js";
import { torchscript, writeZip, type ZipMember } from "./zip-writer.js";

const MODELS = new URL("../../../shared/models/", import.meta.url);
const model = (path: string): string => fileURLToPath(new URL(path, MODELS));

const open = (members: readonly ZipMember[], zip64 = false): Archive => Archive.parse(writeZip(members, zip64), "m.ts");

/** The error that opening these bytes gives, on one line. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof TrtorchError)
      return `${error.code}: ${error.message}${error.hint === undefined ? "" : ` | ${error.hint}`}`;
    throw error;
  }
  return "nothing wrong";
}

t.test("an archive of PyTorch", async (t) => {
  const archive = Archive.open(model("lenet/trace.ts"));
  t.equal(archive.kind, "torchscript");
  t.equal(archive.topFolder, "trace");
  t.equal(archive.version, 3);
  t.ok(archive.has("code/__torch__/torch/nn/modules/conv.py"));
  t.match(archive.text("code/__torch__/torch/nn/modules/conv.py"), /class Conv2d\(Module\)/, "a deflated member");
  const weight = archive.read("data/0");
  t.equal(weight.byteLength, 6 * 1 * 3 * 3 * 4);
  t.equal(weight.buffer, archive.read("data/1").buffer, "stored members are views of the one mapped file");
  t.equal(refusal(() => archive.read("data/77")).split(" | ")[0], "archive: the archive has no member data/77");
});

t.test("kinds, versions and folders", async (t) => {
  t.equal(Archive.open(model("lenet/export.pt2")).kind, "exported");
  t.equal(Archive.open(model("torchscript_forms/gelu_version_bump.ts")).version, 10, ".data/version");
  t.equal(open(torchscript()).topFolder, "m");
  t.equal(open([{ name: "serialized_exported_program.json", data: "{}" }]).kind, "exported");
  t.equal(open([{ name: "serialized_exported_program.json", data: "{}" }]).topFolder, "");
  const wide = open(torchscript({ name: "m/data/0", data: "abcd" }), true);
  t.equal(wide.text("data/0"), "abcd", "ZIP64");
  t.equal(wide.names().length, 5);
});

t.test("what is no model is told", async (t) => {
  const told = (bytes: Uint8Array | string): string =>
    refusal(() => Archive.parse(Buffer.from(bytes), "m.ts")).split(" | ")[0] ?? "";
  const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
  t.equal(told(""), "archive: the file is empty");
  t.equal(
    told("version https://git-lfs.github.com/spec/v1\noid"),
    "archive: this is a Git LFS pointer, not the model itself",
  );
  t.equal(told("<!DOCTYPE html><html>404"), "archive: this is a web page, not a model");
  t.equal(
    told(latin1("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")),
    "archive: this is a torch.save checkpoint of PyTorch before 1.6: it holds no program",
  );
  t.equal(told(latin1("\x80\x04\x95\x10")), "archive: this is a Python pickle: it holds no program");
  const header = Buffer.from('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  t.equal(
    told(Buffer.concat([length, header])),
    "archive: this is a safetensors file: it holds weights, but no program",
  );
  t.equal(told(latin1("\x08\x08\x12\x07pytorch\x1a\x052.1.0:")), "archive: this is an ONNX model");
  t.equal(told("ftrt\0\0\0\0"), "archive: this is a TensorRT engine, built already");
  t.match(told("hello"), /this is no ZIP archive/);
  t.match(told(writeZip([{ name: "a.txt", data: "hi" }])), /neither a TorchScript nor a torch.export program/);
  t.match(
    told(
      writeZip([
        { name: "m/model.json", data: "{}" },
        { name: "m/tensors/0", data: "" },
      ]),
    ),
    /PyTorch 1.3 or older/,
  );
  t.match(told(writeZip(torchscript({ name: "m/byteorder", data: "big" }))), /its tensors are big-endian/);
  t.match(
    told(writeZip(torchscript({ name: "m/version", data: "11\n" }))),
    /file format version is 11, and 10 is the newest/,
  );
  t.match(told(writeZip(torchscript().filter(({ name }) => !name.endsWith("version")))), /no version record/);
  t.match(told(writeZip(torchscript().filter(({ name }) => !name.endsWith("data.pkl")))), /no member data.pkl/);
});

t.test("a checkpoint, and a path that cannot be read", async (t) => {
  const checkpoint = writeZip([
    { name: "archive/data.pkl", data: "\x80\x02}." },
    { name: "archive/version", data: "3" },
  ]);
  const path = `${t.testdir({ "model.pt": checkpoint })}/model.pt`;
  t.match(
    refusal(() => Archive.open(path)),
    /torch.save checkpoint .* holds weights, but no program/,
  );
  t.equal(Archive.parse(checkpoint, path).kind, "checkpoint", "within an archive it is welcome");
  t.match(
    refusal(() => Archive.open("/no/such/file.ts")),
    /archive: cannot read .*: there is no such file/,
  );
});

t.test("truncated archives", async (t) => {
  const whole = readFileSync(model("lenet/trace.ts"));
  for (const part of [0.01, 0.5, 0.99]) {
    t.match(
      refusal(() => Archive.parse(whole.subarray(0, Math.floor(whole.length * part)), "m.ts")),
      /the archive is truncated: the directory .* is missing .*\| The likely cause is a download or copy that broke off/,
    );
  }
});

t.test("claims that the file does not bear out", async (t) => {
  const before = process.memoryUsage().rss;
  const told = (...members: ZipMember[]): string => refusal(() => open(torchscript(...members)));
  const huge = { size: 10e9, compressedSize: 10e9 };
  t.match(
    told({ name: "m/data/0", data: "abcd", claims: huge }),
    /data\/0 claims 10000000000 bytes, more than the file has left/,
  );
  t.match(
    told({ name: "m/code/a.py", data: "abcd", deflate: true, claims: { size: 10e9 } }),
    /code\/a.py claims to inflate from \d+ to 10000000000 bytes \| Nothing compresses that well/,
  );
  const bomb = Buffer.alloc(50e6);
  const archive = open(torchscript({ name: "m/code/a.py", data: bomb, deflate: true, claims: { size: 100 } }));
  t.match(
    refusal(() => archive.read("code/a.py")),
    /the compressed member m\/code\/a.py is damaged/,
  );
  const ambitious = { name: "m/data/0", data: Buffer.alloc(300 * 2 ** 20), deflate: true };
  t.match(told(ambitious), /claims to inflate .* \| PyTorch stores tensors uncompressed/);
  t.match(told({ name: "m/a", data: "", claims: { headerOffset: 5 } }), /the header of member m\/a is missing/);
  t.match(
    told({ name: "m/a", data: "", claims: { headerOffset: 0 } }),
    /another name in the directory than in its header/,
  );
  t.match(told({ name: "m/a", data: "abc", claims: { size: 2 } }), /claims two different sizes/);
  t.ok(process.memoryUsage().rss - before < 2 ** 30);
});

t.test("names and members that have no place in an archive", async (t) => {
  const told = (...members: ZipMember[]): string => refusal(() => open(torchscript(...members)));
  for (const name of ["/etc/passwd", "m/../x", "..", "C:/x", "m\\x", "m/./x", "m/\0"]) {
    t.match(told({ name, data: "" }), /a member with the unsafe name/, name);
  }
  t.match(told({ name: "m/a", data: "1" }, { name: "m/a", data: "2" }), /two members named m\/a/);
  t.match(told({ name: "m/a", data: "", flags: 1 }), /encrypted/);
  t.match(told({ name: "m/a", data: "", method: 12 }), /compressed with method 12, not deflate/);
  const overlapping: ZipMember[] = [
    { name: "m/a", data: "0123456789".repeat(10), claims: { size: 110, compressedSize: 110 } },
    { name: "m/b", data: "0" },
  ];
  t.match(told(...overlapping), /the members m\/a and m\/b overlap/);
});

t.test("any bytes give an archive or a TrtorchError", async () => {
  const whole = readFileSync(model("torchscript_forms/fork_wait.ts"));
  const flip = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(flip, fc.integer({ min: 1, max: whole.length }), fc.boolean(), (flips, length, cut) => {
      const bytes = Buffer.from(cut ? whole.subarray(0, length) : whole);
      for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
      refusal(() => {
        const archive = Archive.parse(bytes, "m.ts");
        for (const name of archive.names()) archive.read(name);
      });
    }),
    { numRuns: 500, seed: 1 },
  );
});
