import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type TritonModel, tritonConfig, writeTriton } from "../../src/artifacts/triton.js";
import type { DataType } from "../../src/network/enums.js";
import { Network } from "../../src/network/network.js";

const BATCH = { min: 1, opt: 4, max: 8 };

type Dims = Parameters<Network["addDynamicInput"]>[2];

/** A network of a ReLU an input. */
function network(...inputs: [name: string, type: DataType, dims: Dims][]): Network {
  const made = new Network();
  for (const [name, type, dims] of inputs) {
    made.markOutput(made.addActivation(made.addDynamicInput(name, type, dims), "kRELU"), `${name}_out`);
  }
  return made;
}

const configOf = (made: Network, changes: Partial<TritonModel> = {}) =>
  tritonConfig({ name: "m", network: made, backend: "tensorrt", profiles: 1, ...changes });

t.test("a batch from 1 to n is Triton's to fill", async (t) => {
  t.equal(
    await configOf(network(["x", "kFLOAT", [BATCH, 3, { min: 16, opt: 32, max: 64 }]])),
    `# Made by trtorch-build together with the model beside it.
name: "m"
backend: "tensorrt"
default_model_filename: "model.plan"
max_batch_size: 8
input {
  name: "x"
  data_type: TYPE_FP32
  dims: [ 3, -1 ]
}
output {
  name: "x_out"
  data_type: TYPE_FP32
  dims: [ 3, -1 ]
}
dynamic_batching { }
`,
  );
});

t.test("where requests cannot be joined, dims are whole shapes", async (t) => {
  const cases: [string, Network, RegExp][] = [
    ["a fixed size first", network(["x", "kHALF", [1, 3]]), /dims: \[ 1, 3 \]/],
    ["a batch that starts at 2", network(["x", "kHALF", [{ min: 2, opt: 4, max: 8 }, 3]]), /dims: \[ -1, 3 \]/],
    [
      "inputs of two limits",
      network(["x", "kHALF", [BATCH]], ["y", "kHALF", [{ min: 1, opt: 2, max: 4 }]]),
      /\[ -1 \]/,
    ],
    ["one input without a batch", network(["x", "kHALF", [BATCH]], ["y", "kHALF", [5]]), /dims: \[ 5 \]/],
  ];
  for (const [name, made, dims] of cases) {
    const text = await configOf(made);
    t.match(text, /^max_batch_size: 0$/m, name);
    t.match(text, dims, name);
    t.notMatch(text, "dynamic_batching", name);
  }
});

t.test("an output that mixes requests keeps them apart", async (t) => {
  const made = new Network();
  const x = made.addDynamicInput("x", "kFLOAT", [BATCH, 3]);
  made.markOutput(made.addReduce(x, "kSUM", [0], false), "sum");
  t.match(await configOf(made), /^max_batch_size: 0$/m);
});

t.test("scalars are reshaped, types are Triton's, profiles are offered", async (t) => {
  const text = await configOf(network(["a", "kFLOAT", []], ["b", "kBF16", [2]]), { profiles: 2 });
  t.match(text, "dims: [ 1 ]\n  reshape { shape: [ ] }");
  t.match(text, "data_type: TYPE_BF16");
  t.match(text, 'instance_group {\n  kind: KIND_GPU\n  profile: [ "0", "1" ]\n}');
  const onlyBatch = await configOf(network(["x", "kFLOAT", [BATCH]]));
  t.match(onlyBatch, /^max_batch_size: 8$/m);
  t.match(onlyBatch, "dims: [ 1 ]\n  reshape { shape: [ ] }");
  const made = new Network();
  made.addInput("q", "kFP8", [1]);
  await t.rejects(configOf(made), { code: "unsupported", message: "Triton has no type for q, which is kFP8" });
});

t.test("the repository: the config is written last", async (t) => {
  const root = t.testdir({});
  const files = await writeTriton(join(root, "repository"), {
    name: "net v1/half",
    network: network(["x", "kFLOAT", [BATCH, 3]]),
    backend: "tensorrt",
    profiles: 1,
    writeModel: async (path) => {
      t.notOk(existsSync(join(root, "repository/net_v1_half/config.pbtxt")));
      writeFileSync(path, "plan");
      return [path];
    },
  });
  t.same(
    files.map((file) => file.slice(root.length + 1)),
    ["repository/net_v1_half/1/model.plan", "repository/net_v1_half/config.pbtxt"],
  );
  t.match(readFileSync(files[1] as string, "utf8"), 'name: "net_v1_half"');
});

const PYTHON = join(process.env.TRTORCH_TEST_TOOLS ?? join(tmpdir(), "trtorch-build-tools"), "python/bin/python");
const skip = existsSync(PYTHON) ? false : "there is no Triton client: test/pipelines/setup.sh installs it";

t.test("Triton's own message reads it", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "triton-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const text = await configOf(
    network(["x", "kFLOAT", [BATCH, 3]], ["ids", "kINT64", [BATCH]], ['odd "name"\\', "kBOOL", [BATCH, 2]]),
    { profiles: 2 },
  );
  writeFileSync(join(folder, "config.pbtxt"), text);
  const script = `import sys, json
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
print(json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True)))`;
  const run = spawnSync(PYTHON, ["-c", script, join(folder, "config.pbtxt")], { encoding: "utf8" });
  if (run.status !== 0) t.comment(run.stderr);
  t.match(JSON.parse(run.stdout), {
    name: "m",
    backend: "tensorrt",
    max_batch_size: 8,
    input: [
      { name: "x", data_type: "TYPE_FP32", dims: ["3"] },
      { name: "ids", data_type: "TYPE_INT64", dims: ["1"], reshape: {} },
      { name: 'odd "name"\\', data_type: "TYPE_BOOL", dims: ["2"] },
    ],
    output: [{ name: "x_out" }, { name: "ids_out" }, { name: 'odd "name"\\_out' }],
    instance_group: [{ kind: "KIND_GPU", profile: ["0", "1"] }],
    dynamic_batching: {},
  });
});
