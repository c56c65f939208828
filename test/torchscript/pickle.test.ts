import { fileURLToPath } from "node:url";
import fc from "fast-check";
import t from "tap";
import { type Constant, Device, EnumValue, ObjectValue, Tensor, TupleValue } from "../../src/ir/constant.js";
import { Archive } from "../../src/torchscript/archive.js";
import { STATE_ATTRIBUTE, unpickle } from "../../src/torchscript/pickle.js";
import { TrtorchError } from "../../src/util/errors.js";
import { torchscript, writeZip } from "./zip-writer.js";

const FORMS = new URL("../../../shared/models/torchscript_forms/", import.meta.url);

const form = (name: string): Archive => Archive.open(fileURLToPath(new URL(`${name}.ts`, FORMS)));

function attributes(name: string): Map<string, Constant> {
  const root = unpickle(form(name), "data.pkl");
  if (!(root instanceof ObjectValue)) throw new Error("no object");
  return root.attributes;
}

/** Unpickles hand-made opcodes, with one storage of four floats. */
function load(opcodes: string | Buffer): Constant {
  const data = typeof opcodes === "string" ? Buffer.from(opcodes, "latin1") : opcodes;
  const floats = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
  const archive = writeZip(torchscript({ name: "m/data.pkl", data }, { name: "m/data/0", data: floats }));
  return unpickle(Archive.parse(archive, "m.ts"), "data.pkl");
}

function refusal(opcodes: string | Buffer): string {
  try {
    load(opcodes);
  } catch (error) {
    if (error instanceof TrtorchError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing wrong";
}

const text = (value: string): string => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const tensor = (offset: string, sizes: string, strides: string, numel = "K\x04"): string =>
  `\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((${text("storage")}ctorch\nFloatStorage\n${text("0")}${text("cpu")}${numel}tQ` +
  `${offset}${sizes}${strides}\x89ccollections\nOrderedDict\n)RtR.`;

t.test("numbers, text and containers", async (t) => {
  t.strictSame(load("\x80\x02]q\0(K\x01M\x00\x01J\xff\xff\xff\xffe."), [1, 256, -1]);
  t.equal(load("\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."), 2 ** 63, "INT64_MAX rounds up");
  t.equal(load("\x80\x02\x8a\x01\xfe."), -2);
  t.equal(load("\x80\x02\x8a\0."), 0);
  t.equal(load("\x80\x02G?\xf8\0\0\0\0\0\0."), 1.5);
  t.strictSame(load("\x80\x02N\x88\x87.".replace("\x87", "\x86")), new TupleValue([null, true]));
  t.equal(load(`\x80\x02${text("h\xc3\xa9")}.`), "hé");
  t.equal(load(`\x80\x02${text("\xff\x01")}.`), "\xff\x01", "bytes that are not UTF-8 stay as they are");
  t.strictSame(
    load("\x80\x04\x95\0\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94K\x02u."),
    new Map([
      ["a", 1],
      ["b", 2],
    ]),
  );
  t.equal(load("\x80\x02ctorch\nfloat16\n."), 5, "a dtype is TorchScript's number");
});

t.test("attributes of every kind", async (t) => {
  const containers = attributes("container_attrs");
  t.ok([...containers.values()].some((value) => value instanceof Map));
  t.ok([...containers.values()].some((value) => value instanceof Device));
  const [complex] = [...containers.values()].filter(
    (value) => value instanceof ObjectValue && value.typeName === "complex",
  );
  t.type(complex, ObjectValue);
  const values = [...attributes("enum_attr").values()];
  t.ok(
    values.some(
      (value) => value instanceof EnumValue && value.typeName.startsWith("__torch__") && value.value !== null,
    ),
  );
  t.ok([...attributes("namedtuple_attr_and_output").values()].some((value) => value instanceof TupleValue));
  t.ok([...attributes("module_lists_dicts").values()].some((value) => value instanceof ObjectValue));
});

t.test("tensors of every dtype, as views of the file", async (t) => {
  const archive = form("dtypes");
  const root = unpickle(archive, "data.pkl") as ObjectValue;
  for (const dtype of [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "uint8",
    "int16",
    "int32",
    "int64",
    "bool",
  ]) {
    const value = root.attributes.get(`b_${dtype}`) as Tensor;
    t.equal(value.dtype, dtype);
    t.strictSame(Array.from(value.toNumbers()), [1, 1, 1], dtype);
    t.equal(value.storage.bytes.buffer, archive.read("data/0").buffer);
  }
  t.equal((root.attributes.get("b_complex64") as Tensor).byteLength, 24);
});

t.test("shared and strided storages", async (t) => {
  const tensors = [...attributes("shared_and_strided_storages").values()].filter((value) => value instanceof Tensor);
  const storages = new Set(tensors.map((value) => value.storage));
  t.ok(storages.size < tensors.length, `${tensors.length} tensors in ${storages.size} storages`);
  t.ok(tensors.some((value) => !value.isContiguous));
  t.ok(tensors.some((value) => value.storageOffset > 0));
});

t.test("quantized weights, and states for __setstate__", async (t) => {
  const conv = attributes("static_quant_conv").get("1") as ObjectValue;
  const state = conv.attributes.get(STATE_ATTRIBUTE) as TupleValue;
  t.equal(conv.attributes.size, 1);
  const weight = state.elements.find((value) => value instanceof Tensor && value.quantization !== undefined) as Tensor;
  t.equal(weight.dtype, "qint8");
  t.strictSame(weight.sizes, [4, 3, 3, 3]);
  t.strictSame(weight.strides, [27, 1, 9, 3], "channels last");
  t.type(weight.quantization?.scale, "number");
});

t.test("a global that no model needs is refused before anything is made of it", async (t) => {
  t.equal(
    refusal(`\x80\x02cos\nsystem\n${text("rm -rf /")}\x85R.`),
    "archive: data.pkl asks for os.system, which is not among the classes and functions that models are made of",
  );
  t.match(refusal(`\x80\x04${"\x8c\x08builtins\x8c\x04eval\x93"}.`), /asks for builtins.eval/);
  t.match(refusal("\x80\x02ctorch\nload\n."), /asks for torch.load/);
  t.match(refusal("\x80\x02c__torch__evil\nM\n."), /asks for __torch__evil.M/);
  t.match(refusal("\x80\x02c__torch__\nM\n."), /has __torch__.M where a value belongs/);
  t.match(
    refusal("\x80\x02ccollections\nOrderedDict\n)\x81."),
    /makes an object of something that is no TorchScript class/,
  );
  t.match(refusal("\x80\x02cposix\nfork\n)R."), /asks for posix.fork/);
});

t.test("broken pickles", async (t) => {
  t.match(refusal("\x80\x02"), /breaks off/);
  t.match(refusal("\x80\x02X\xff\xff\xff\x7fab"), /breaks off/);
  t.match(refusal("\x80\x02h\x05."), /memo entry 5, which it never set/);
  t.match(refusal("\x80\x02."), /empty stack/);
  t.match(refusal("\x80\x02t."), /closes a mark that it never set/);
  t.match(refusal("\x80\x02i."), /has the opcode 0x69 at byte 2, which PyTorch does not write/);
  t.match(refusal("\x80\x02K\x01K\x02a."), /something else where a list belongs/);
  t.match(refusal("\x80\x02}K\x01K\x02\x86K\x03s."), /a dict with keys/);
  t.match(refusal("\x80\x02\x8a\x40"), /more than 64 bits/);
});

t.test("tensors stay within their storage", async (t) => {
  const good = load(tensor("K\x01", "K\x03\x85", "K\x01\x85")) as Tensor;
  t.strictSame(Array.from(good.toNumbers()), [2, 3, 4]);
  t.match(refusal(tensor("K\x02", "K\x03\x85", "K\x01\x85")), /needs 5 elements of float32, and its storage has 4/);
  t.match(refusal(tensor("K\0", "K\x02K\x02\x86", "K\x03K\x01\x86")), /needs 5 elements/);
  t.match(refusal(tensor("K\0", "J\xff\xff\xff\xff\x85", "K\x01\x85")), /impossible sizes \[-1\]/);
  t.match(refusal(tensor("K\0", "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", "K\0K\0\x86")), /repeats 4 elements/);
  t.match(refusal(tensor("K\0", "K\x01\x85", ")")), /impossible sizes/);
  t.match(refusal(tensor("K\0", "K\x04\x85", "K\x01\x85", "K\x05")), /storage data\/0 should have 20 bytes and has 16/);
});

t.test("structures that would overflow whoever walks them", async (t) => {
  t.match(
    refusal(Buffer.concat([Buffer.from("\x80\x02)", "latin1"), Buffer.alloc(1e6, 0x85), Buffer.from(".")])),
    /nested more than 1000 deep/,
  );
  t.match(refusal("\x80\x02]q\0h\0a."), /contains itself/);
  // Thirty tuples, each of the one before twice: a billion values.
  t.match(refusal(`\x80\x02)${"q\0h\0\x86".repeat(30)}.`), /unfolds into more than 50000000 values/);
  t.equal(
    refusal(Buffer.concat([Buffer.from("\x80\x02", "latin1"), Buffer.alloc(2e6, "(", "latin1"), Buffer.from("N.")])),
    "nothing wrong",
  );
});

t.test("any bytes give a value or a TrtorchError", async () => {
  const whole = Buffer.from(form("lstm_script").read("data.pkl"));
  const flip = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(flip, (flips) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of flips) bytes[at] = value;
      refusal(bytes);
    }),
    { numRuns: 1000, seed: 1 },
  );
});
