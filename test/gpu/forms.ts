/**
 * Which form of a network TensorRT makes the fastest engine of. Forms are the same numbers by other layers: they are tried here before a
 * converter writes them. Each is built REPEATS times without timings of earlier builds, since one network becomes engines that differ by
 * a few percent; all take turns with the engine of TensorRT's ONNX parser where WORK has it.
 *
 * `forms.js WORK MODEL [FORM...]`, FORM joined by + where several are to be applied; REPEATS (default: 2).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Engine, loadEngine } from "../../src/backends/tensorrt/engine.js";
import { buildEngine } from "../../src/backends/tensorrt/index.js";
import { load } from "../../src/index.js";
import type { ITensor, Layer } from "../../src/network/layers.js";
import type { Network } from "../../src/network/network.js";
import { BATCHES, jobName, PRECISIONS, readModel } from "./models.js";
import { hold, median, takeTurns } from "./turns.js";

const FORMS: Record<string, (network: Network) => void> = {
  "as-is": () => {},
  // As the ONNX parser has them: [k, n], where PyTorch's are [n, k].
  "transposed-weights": (network) => {
    for (const product of productsWithConstants(network)) {
      if (product.attributes.op1 !== "kTRANSPOSE") continue;
      const [x, weight] = product.inputs as [ITensor, ITensor];
      const rank = weight.dims.length;
      const axes = [...weight.dims.keys()].map((axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
      const turned = network.addShuffle(weight, { firstTranspose: axes });
      replace(network, product.outputs[0] as ITensor, network.addMatrixMultiply(x, "kNONE", turned, "kNONE"));
    }
  },
  // Products with constants over [batch * length, k], not over [batch, length, k].
  rows: (network) => {
    for (const product of productsWithConstants(network)) {
      const [x, weight] = product.inputs as [ITensor, ITensor];
      const y = product.outputs[0] as ITensor;
      if (y.dims.length !== 3) continue;
      const rows = network.addShuffle(x, { reshape: [-1, x.dims[2] as number] });
      const matrix = network.addShuffle(weight, { reshape: weight.dims.slice(1) as number[] });
      const made = network.addMatrixMultiply(rows, "kNONE", matrix, product.attributes.op1);
      replace(network, y, network.addShuffle(made, { reshape: y.dims as number[] }));
    }
  },
};

const [work, name, ...wanted] = process.argv.slice(2) as [string, string, ...string[]];
const forms = wanted.length > 0 ? wanted : Object.keys(FORMS);
const repeats = Number(process.env.REPEATS ?? 2);
const unknown = forms.flatMap((form) => form.split("+")).filter((part) => !(part in FORMS));
if (unknown.length > 0) {
  console.error(`there is no form ${unknown.join(", ")}; there are ${Object.keys(FORMS).join(", ")}`);
  process.exit(2);
}

for (const batch of BATCHES) {
  for (const precision of PRECISIONS) {
    const recorded = readModel(work, name, batch);
    const inputs = recorded.inputs.map(({ dtype, sizes }) => ({ dtype, shape: [...sizes] }));
    const loads: { what: string; engine: Engine }[] = [];
    const onnx = join(work, "onnx", `${jobName(name, batch)}-${precision}.engine`);
    if (existsSync(onnx)) loads.push({ what: "ONNX parser", engine: await loadEngine(onnx) });
    for (const form of forms) {
      for (let repeat = 0; repeat < repeats; repeat++) {
        const network = await load(recorded.file).network({ backend: "tensorrt", precision, inputs });
        for (const part of form.split("+")) (FORMS[part] as (network: Network) => void)(network);
        inOrder(network);
        const { engine } = await buildEngine(network, { flavour: "trt10" });
        loads.push({ what: form, engine: await loadEngine(engine, { flavour: "trt10" }) });
      }
    }
    const turns = await takeTurns(
      loads.map(({ engine }) => engine),
      recorded,
    );
    const base = median(turns[0] as number[]);
    for (const [i, { what, engine }] of loads.entries()) {
      const { maxError } = await hold(engine, recorded, precision);
      const time = median(turns[i] as number[]);
      console.log(
        `${jobName(name, batch)} ${precision} ${what.padEnd(20)} ${time.toFixed(4)} ms, ${(time / base).toFixed(3)} of the first, max error ${maxError.toExponential(1)}`,
      );
      await engine.dispose();
    }
  }
}
process.exit();

function productsWithConstants(network: Network): Extract<Layer, { readonly type: "kMATRIX_MULTIPLY" }>[] {
  return network.layers
    .filter((layer) => layer.type === "kMATRIX_MULTIPLY")
    .filter((layer) => layer.inputs[1]?.producer?.type === "kCONSTANT");
}

function replace(network: Network, tensor: ITensor, by: ITensor): void {
  for (const { inputs } of network.layers) {
    const replaced = inputs.map((input) => (input === tensor ? by : input));
    (inputs as (ITensor | null)[]).splice(0, inputs.length, ...replaced);
  }
}

/** Layers after those that they take from; what nothing takes is left out. */
function inOrder(network: Network): void {
  const ordered = new Set<Layer>();
  const visit = (layer: Layer): void => {
    for (const input of layer.inputs)
      if (input?.producer !== undefined && !ordered.has(input.producer)) visit(input.producer);
    ordered.add(layer);
  };
  for (const { producer } of network.outputs) if (producer !== undefined) visit(producer);
  network.layers.splice(0, network.layers.length, ...ordered);
}
