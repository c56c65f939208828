import t from "tap";
import { DebugRanges } from "../../src/torchscript/debug-ranges.js";
import { type Plain, readPlainPickle } from "../../src/torchscript/plain-pickle.js";

const tuple = (...elements: Plain[]): Plain => elements;

t.test("records with a string table: the line within the source, counted from where the source begins", async (t) => {
  const strings = tuple("", "def f(x):\n", "  größe = x\n", "  return größe\n", "model.py");
  const source = tuple([1, 2, 3, 0], 4, 10);
  const records = tuple(
    tuple(0, tuple(tuple([], 0, 0), 0, 0), 0),
    tuple(40, tuple(source, 12, 17), 1),
    tuple(60, tuple(source, 33, 38), 2),
    tuple(80, tuple(tuple([], 0, 0), 0, 0), 0),
  );
  const ranges = new DebugRanges(tuple("FORMAT_WITH_STRING_TABLE", strings, records));
  t.equal(ranges.find(39), undefined);
  t.strictSame(ranges.find(40), { file: "model.py", line: 11, text: "  größe = x" });
  t.strictSame(ranges.find(59), { file: "model.py", line: 11, text: "  größe = x" });
  t.strictSame(ranges.find(60), { file: "model.py", line: 12, text: "  return größe" });
  t.equal(ranges.find(80), undefined);
});

t.test("the older form holds texts themselves", async (t) => {
  const source = tuple("def f(x):\n  return x\n", "old.py", 3);
  const ranges = new DebugRanges(tuple(tuple(7, tuple(source, 12, 20), 0)));
  t.strictSame(ranges.find(9), { file: "old.py", line: 4, text: "  return x" });
});

t.test("a trace's stack: the innermost line that is not PyTorch's own, and its callers", async (t) => {
  const stack = [
    "/env/lib/python3.12/site-packages/torch/nn/functional.py(1723): relu\n",
    "model.py(34): forward\n",
    "/env/lib/python3.12/site-packages/torch/nn/modules/module.py(1769): _slow_forward\n",
    "model.py(41): forward\n",
    "/env/lib/python3.12/site-packages/torch/jit/_trace.py(1216): trace_module\n",
    "main.py(9): <module>\n",
  ];
  const ranges = new DebugRanges(tuple(tuple(0, tuple(tuple(stack.join(""), null, 0), 0, 9), 0)));
  t.strictSame(ranges.find(5), {
    file: "model.py",
    line: 34,
    callers: [
      { file: "model.py", line: 41 },
      { file: "main.py", line: 9 },
    ],
  });
  const inside = new DebugRanges(tuple(tuple(0, tuple(tuple(stack[0] as string, null, 0), 0, 9), 0)));
  t.equal(inside.find(0)?.line, 1723);
});

t.test("records that make no sense say nothing", async (t) => {
  t.equal(new DebugRanges(null).find(3), undefined);
  t.equal(new DebugRanges(tuple(tuple(0, null))).find(3), undefined);
  t.equal(new DebugRanges(tuple("FORMAT_WITH_STRING_TABLE", tuple(), tuple(3, "x"))).find(3), undefined);
});

t.test("pickles of plain values, as PyTorch and Python write them", async (t) => {
  const read = (text: string): Plain | undefined => readPlainPickle(Buffer.from(text, "latin1"));
  t.strictSame(read("\x80\x02(K\x01M\x00\x01J\xff\xff\xff\xff\x8a\x05\x00\x00\x00\x00\x01Nt."), [
    1,
    256,
    -1,
    2 ** 32,
    null,
  ]);
  t.strictSame(read("\x80\x02X\x03\x00\x00\x00a\xc3\xa9q\x00h\x00\x86."), ["aé", "aé"]);
  t.strictSame(read("\x80\x02]q\x01(K\x01K\x02eK\x03a)\x88\x87."), [[1, 2, 3], [], true]);
  t.strictSame(read("\x80\x02ctorch.jit._pickle\nbuild_intlist\n](K\x07e\x85R."), [7]);
  t.equal(read("\x80\x02X\xff\xff\x00\x00a."), undefined);
  t.equal(read("\x80\x02}."), undefined);
  t.equal(read("\x80\x02K"), undefined);
  t.equal(read("X\x01\x00\x00\x00\ncN"), undefined, "a name that ends nowhere");
});
