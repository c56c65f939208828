import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import t from "tap";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { toDims } from "../../src/network/symbolic.js";
import { readNpz } from "../../src/util/npz.js";
import { capabilitiesOf, convertModel } from "../../src/worker/convert-model.js";
import { loadModel } from "../../src/worker/model.js";

const MODELS = fileURLToPath(new URL("../../../shared/models/", import.meta.url));

/** The network's layers up to names: kinds, attributes without weights, what comes out; sorted, as constants may move. */
async function layersOf(file: string, io: string): Promise<string[]> {
  const program = loadModel(file);
  const recorded = [...readNpz(io)].filter(([key]) => key.startsWith("in"));
  const inputs = recorded.map(([, { dtype, sizes }]) => ({ name: null, dtype, dims: sizes }));
  const { network } = await convertModel(program, {
    method: "forward",
    inputs: program.inputs("forward") === undefined ? inputs : null,
    registry: defaultRegistry(),
    capabilities: capabilitiesOf("tensorrt-rtx"),
  });
  return network.layers
    .map(({ type, attributes, outputs }) => {
      const scalars = Object.entries(attributes).filter(([, value]) => ["string", "number"].includes(typeof value));
      const results = outputs.map((output) => `${output.type}[${toDims(output.dims)}]`);
      return `${type} ${JSON.stringify(scalars)} ${results.join()}`;
    })
    .sort();
}

t.test("BERT through TorchScript and through torch.export is the same network", async (t) => {
  const folder = join(MODELS, "bert_tiny");
  const [script, exported] = ["trace.ts", "export.pt2"].map((file) =>
    layersOf(join(folder, file), join(folder, "io.npz")),
  );
  const layers = (await script) as string[];
  t.ok(layers.length > 50, `${layers.length} layers`);
  t.strictSame(await exported, layers);
});

const python = process.env.TRTORCH_TEST_PYTHON ?? "";
const skip =
  python === "" && "PyTorch makes the model: set TRTORCH_TEST_PYTHON to a Python that has it and torchvision";

t.test("ResNet-50 through TorchScript and through torch.export is the same network", { skip }, async (t) => {
  const out = mkdtempSync(join(tmpdir(), "trtorch-twins-"));
  t.teardown(() => rmSync(out, { recursive: true }));
  const make = fileURLToPath(new URL("make_models.py", import.meta.url));
  await execa(python, [make, out, "resnet50", "--forms", "trace,script,export,export-core"]);
  const folder = join(out, "resnet50");
  const layers = await layersOf(join(folder, "trace.ts"), join(folder, "io.npz"));
  t.ok(layers.length > 100, `${layers.length} layers`);
  for (const file of ["script.ts", "export.pt2", "export-core.pt2"]) {
    t.strictSame(await layersOf(join(folder, file), join(folder, "io.npz")), layers, file);
  }
});
