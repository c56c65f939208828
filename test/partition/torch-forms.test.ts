import t from "tap";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { restoreTorchForms } from "../../src/partition/torch-forms.js";

function restored(ir: string): string {
  const graph = parseIR(ir);
  restoreTorchForms(graph);
  return printGraph(graph);
}

t.test("views become reshapes: the copies that made them possible are gone", async (t) => {
  const text = restored(`graph(%x : Tensor, %size : int[], %y : Tensor):
  %a : Tensor = aten::view(%x, %size)
  %b : Tensor = aten::view_as(%a, %y)
  return (%b)
`);
  t.match(text, /%a : Tensor = aten::reshape\(%x, %size\)/);
  t.match(text, /%b : Tensor = aten::reshape_as\(%a, %y\)/);
  t.notMatch(text, /aten::view/);
});

t.test("what reads memory as it lies, and operators of users, get contiguous tensors", async (t) => {
  const text = restored(`graph(%x : Tensor, %size : int[], %offset : int):
  %a : Tensor = aten::as_strided(%x, %size, %size, %offset)
  %b : Tensor = my_ops::scale(%a)
  %c : Tensor = aten::relu(%b)
  return (%c)
`);
  t.equal(text.match(/aten::contiguous/g)?.length, 2);
  t.match(
    text,
    /aten::contiguous\(%x\)(?:.|\n)+aten::as_strided\(%\d+, (?:.|\n)+aten::contiguous\(%a\)(?:.|\n)+my_ops::scale\(%\d+\)/,
  );
});

t.test("a write goes to a copy: the tensor may be a constant or an argument", async (t) => {
  const text = restored(`graph(%x : Tensor):
  %a : Tensor = aten::relu_(%x)
  return (%a)
`);
  t.match(text, /%(\d+) : Tensor = aten::clone\(%x, %\d+\)(?:.|\n)+%a : Tensor = aten::relu_\(%\1\)/);
});

t.test("tensors are made where the method's arguments are", async (t) => {
  const text = restored(`graph(%x : Tensor):
  %n : int = prim::Constant[value=4]()
  %size : int[] = prim::ListConstruct(%n)
  %none : NoneType = prim::Constant()
  %cpu : Device = prim::Constant[value="cpu"]()
  %a : Tensor = aten::zeros(%size, %none, %none, %cpu, %none)
  %b : Tensor = aten::ones(%size, %none, %none, %none, %none)
  %c : Tensor = aten::zeros_like(%x, %none, %none, %none, %none, %none)
  %d : Tensor = aten::add(%a, %b, %n)
  %e : Tensor = aten::add(%d, %c, %n)
  return (%e)
`);
  const device = /%(\d+) : Device = prim::device\(%x\)/.exec(text)?.[1];
  t.ok(device !== undefined);
  t.match(text, new RegExp(`aten::zeros\\(%size, %none, %none, %${device}, %none\\)`), "a device from the trace");
  t.match(text, new RegExp(`aten::ones\\(%size, %none, %none, %${device}, %none\\)`), "none, which would be the CPU");
  t.match(text, /aten::zeros_like\(%x, %none, %none, %none, %none, %none\)/, "as its argument");
  t.notMatch(restored("graph(%x : Tensor):\n  return (%x)\n"), /device/, "nothing is left where nothing needs it");
});
