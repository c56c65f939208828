import t, { type Test } from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { buildEngine, describeNetwork, findLibrary } from "../../src/backends/tensorrt/index.js";
import type { Capabilities } from "../../src/conversion/context.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { networkKey, toProgram } from "../../src/network/program.js";
import { toDims } from "../../src/network/symbolic.js";
import { dataTypeOf } from "../../src/network/weights.js";
import { type Form, type RecordedCase, recordedCases } from "./recorded-case.js";

const REFERENCE: Capabilities = { backend: "onnxruntime", version: [1, 30] };
const TENSORRT: Capabilities = { backend: "tensorrt", version: [10, 6] };
const RTX: Capabilities = { backend: "tensorrt-rtx", version: [1, 7] };

/**
 * A test for each case of the families: converted with fixed sizes, with ranges and in fp16, run on the CPU reference and
 * compared with what PyTorch recorded, as also the network for the full TensorRT, where that is another one; where
 * libtensorrt_rtx is found, every tensor's dims are compared with the library's and engines are built. TRTORCH_TEST_CASE=<part of a name> runs fewer, TRTORCH_TEST_TENSORRT=0 leaves the library out.
 */
export function testCases(...families: readonly string[]): void {
  const only = process.env.TRTORCH_TEST_CASE;
  const library = rtxLibrary();
  for (const family of families) {
    t.test(family, async (t) => {
      if (library === undefined) t.comment("no libtensorrt_rtx here: dims are not compared with it");
      for (const recorded of recordedCases(family)) {
        const { name, error } = recorded.entry;
        if (only !== undefined && !name.includes(only)) continue;
        await t.test(name, async (t) => {
          if (error === undefined) return testCase(t, recorded, library);
          const [fixed] = recorded.forms as [Form];
          t.throws(() => recorded.convert(fixed, REFERENCE), { message: new RegExp(error) });
        });
      }
    });
  }
}

async function testCase(t: Test, recorded: RecordedCase, library: string | undefined): Promise<void> {
  const { entry, inputs, expected, forms } = recorded;
  const known = new Set<string>();
  for (const { form, what, capabilities } of forms.flatMap((form) => [
    { form, what: form.what, capabilities: REFERENCE },
    { form, what: `${form.what}, as for the full TensorRT`, capabilities: TENSORRT },
  ])) {
    if (capabilities === TENSORRT && entry.tensorrt !== undefined) continue;
    const network = recorded.convert(form, capabilities);
    // Most networks are the same for both.
    const key = networkKey(toProgram(network));
    if (known.has(key)) continue;
    known.add(key);
    const outputs = await execute(network, inputs);
    expected.forEach((tensor, i) => {
      const output = network.outputs[i];
      if (output === undefined) {
        t.fail(`${what}: output ${i} is missing`);
        return;
      }
      t.equal(output.type, dataTypeOf(tensor.dtype), `${what}: type of output ${i}`);
      const difference = recorded.difference(form, outputs[output.name] as Tensor, tensor);
      t.equal(difference, undefined, `${what}: output ${i}`);
    });
    t.equal(network.outputs.length, expected.length, `${what}: number of outputs`);
  }
  if (library === undefined || entry.tensorrt !== undefined) return;
  for (const form of forms) {
    const { what } = form;
    const network = recorded.convert(form, RTX);
    for (const { tensor, type, dims } of await describeNetwork(network, { flavour: "rtx", library })) {
      t.equal(type, tensor.type, `${what}: TensorRT's type of ${tensor.name}`);
      // TensorRT knows fewer sizes than we do, never others.
      const own = toDims(tensor.dims);
      const agree = own.length === dims.length && dims.every((dim, i) => dim === own[i] || dim === -1 || own[i] === -1);
      t.ok(agree, `${what}: TensorRT's dims of ${tensor.name}: [${dims}], ours [${own}]`);
    }
    const { engine } = await buildEngine(network, { flavour: "rtx", library, targets: [89] });
    t.ok(engine.byteLength > 0, `${what}: engine`);
  }
}

function rtxLibrary(): string | undefined {
  if (process.env.TRTORCH_TEST_TENSORRT === "0") return undefined;
  try {
    return findLibrary("rtx");
  } catch {
    return undefined;
  }
}
