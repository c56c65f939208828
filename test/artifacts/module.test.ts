import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import {
  abiOf,
  engineAttribute,
  type WrappedModule,
  wrappedTypeName,
  writeWrappedModule,
} from "../../src/artifacts/module.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { ObjectValue } from "../../src/ir/constant.js";
import { parseIR } from "../../src/ir/parser.js";
import { stitchWhole } from "../../src/partition/stitch.js";
import { Archive } from "../../src/torchscript/archive.js";
import { STATE_ATTRIBUTE, unpickle } from "../../src/torchscript/pickle.js";
import { readNpz } from "../../src/util/npz.js";
import { convertModel } from "../../src/worker/convert-model.js";
import { loadModel } from "../../src/worker/model.js";
import { runInTorch, runtime, skip, stubEngine, type TorchJob } from "./torch.js";

// PyTorch takes its time to compile the stub, once.

const models = new URL("../fixtures/models/", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, models));

function moduleWith(options: Partial<WrappedModule>, plan = new Uint8Array([1, 2, 3, 250])): Archive {
  const graph = parseIR("graph(%self : __torch__.net.M_trt, %x : Tensor):\n  return (%x)\n");
  const module: WrappedModule = {
    typeName: "__torch__.net.M_trt",
    method: "forward",
    graph,
    engines: [
      {
        attribute: engineAttribute("__torch__.net.M_trt"),
        plan,
        inputNames: ["input_0", "input_1"],
        outputNames: ["output_0"],
      },
    ],
    ...runtime,
    ...options,
  };
  return Archive.parse(Buffer.concat([...writeWrappedModule(module)]), "wrapped.ts");
}

function stateOf(archive: Archive): unknown {
  const root = unpickle(archive, "data.pkl") as ObjectValue;
  const engine = root.attributes.get("__torch___net_M_trt_engine_");
  if (!(engine instanceof ObjectValue)) throw new Error("no engine");
  return engine.attributes.get(STATE_ATTRIBUTE);
}

t.test("every release's runtime gets the fields of its ABI, in its order", async (t) => {
  const common = ["__torch___net_M_trt_engine_", "0%8%6%0%NVIDIA A40", "AQID+g=="];
  const names = ["input_0%input_1", "output_0"];
  const expected: Record<string, unknown> = {
    "1.3": ["4", ...common, ...names],
    "2.3.0": ["5", ...common, ...names, "0"],
    "2.6": ["6", ...common, ...names, "0", "", "linux_x86_64"],
    "2.10": ["7", ...common, ...names, "0", "", "linux_x86_64", "0"],
    "2.11": ["8", ...common, ...names, "0", "", "linux_x86_64", "0", "0"],
    "2.13": ["9", ...common, ...names, "0", "", "linux_x86_64", "0", "0", "0"],
    "2.14": ["10", ...common, ...names, "0", "", "linux_x86_64", "0", "0", "0", ""],
  };
  for (const [torchTensorrt, fields] of Object.entries(expected)) {
    t.strictSame(stateOf(moduleWith({ torchTensorrt })), fields, torchTensorrt);
  }
  t.strictSame(stateOf(moduleWith({})), expected["2.13"], "the newest released where none is named");
  const [abi, , , plan, ...rest] = stateOf(moduleWith({ torchTensorrt: "1.1" })) as string[];
  t.strictSame([abi, Buffer.from(plan as string, "latin1"), rest], ["3", Buffer.from([1, 2, 3, 250]), []]);
});

t.test("releases and names that no runtime takes", async (t) => {
  t.equal(abiOf("0.4.1"), 3);
  t.equal(abiOf("1.4.0"), 4);
  for (const release of ["0.3", "2.15", "3.0", "two"]) {
    t.throws(() => abiOf(release), { code: "config", message: /no release of Torch-TensorRT/ }, release);
  }
  const engine = { attribute: "e", plan: new Uint8Array(1), inputNames: ["x"], outputNames: ["output_0"] };
  t.throws(() => moduleWith({ torchTensorrt: "1.0", engines: [engine] }), { code: "config", message: /position/ });
  t.throws(() => moduleWith({ engines: [{ ...engine, inputNames: ["a%b"] }] }), { code: "config", message: /"a%b"/ });
});

t.test("the archive is laid out as torch.jit.save does", async (t) => {
  const archive = moduleWith({ hardwareCompatible: true }, new Uint8Array(5_000_000).fill(7));
  t.equal(archive.topFolder, "M_trt");
  t.strictSame(archive.names(), ["data.pkl", "code/__torch__/net.py", "constants.pkl", "version", "byteorder"]);
  t.equal(archive.version, 3);
  const base = archive.read("data.pkl").byteOffset;
  for (const name of archive.names()) {
    t.equal((archive.read(name).byteOffset - base) % 64, 0, `${name} starts at a multiple of 64`);
  }
  const state = stateOf(archive) as string[];
  t.strictSame(Buffer.from(state[3] as string, "base64"), Buffer.alloc(5_000_000, 7), "pieces join without padding");
  t.equal(state[6], "1");
});

t.test("wrapped modules give the original's numbers in PyTorch", { skip }, async (t) => {
  const folder = t.testdir();
  const cases = ["lenet/trace.ts", "lenet/script.ts", "squeezenet1_1/trace.ts", "bert_tiny/trace.ts"];
  const jobs: TorchJob[] = [];
  for (const name of cases) {
    const io = path(`${name.split("/")[0]}/io.npz`);
    const inputs = [...readNpz(io)]
      .filter(([key]) => key.startsWith("in"))
      .map(([, tensor]) => ({ name: null, dtype: tensor.dtype, dims: tensor.sizes }));
    const model = await convertModel(loadModel(path(name)), {
      method: "forward",
      inputs,
      registry: defaultRegistry(),
      capabilities: { backend: "tensorrt-rtx", version: [1, 0] },
    });
    const typeName = wrappedTypeName(model.typeName);
    const engine = stubEngine(typeName, model.graph, model.network);
    const graph = stitchWhole(typeName, "forward", engine.attribute, model.graph, model);
    const module = `${folder}/${name.replace("/", "-")}`;
    writeFileSync(
      module,
      Buffer.concat([...writeWrappedModule({ typeName, method: "forward", graph, engines: [engine], ...runtime })]),
    );
    jobs.push({ module, method: "forward", inputs: io, outputs: io });
  }
  const results = runInTorch(jobs, folder);
  results.forEach((result, i) => {
    t.equal(result.error, null, cases[i] as string);
    t.ok(result.worst < 1e-4, `${cases[i]}: ${result.worst}`);
    t.equal(result.training, false);
  });
  t.match(
    results.map(({ type }) => type),
    ["__torch__.LeNet_trt", /LeNet_trt$/, "__torch__.torchvision.models.squeezenet.SqueezeNet_trt", /_trt$/],
  );
});
