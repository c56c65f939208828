import t from "tap";
import { Network } from "../../src/network/network.js";
import { networkKey, toProgram } from "../../src/network/program.js";
import { mul } from "../../src/network/symbolic.js";
import { makeWeights } from "../../src/network/weights.js";

function small(
  change: { values?: number[]; prefix?: string; unused?: boolean; output?: string; alpha?: number } = {},
): Network {
  const network = new Network();
  network.layerNamePrefix = change.prefix ?? "";
  const x = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 4 }, 3]);
  if (change.unused) network.addIdentity(x);
  const w = network.addConstant(makeWeights("kFLOAT", [1, 3], change.values ?? [1, 2, 3]));
  const y = network.addActivation(network.addElementWise(x, w, "kPROD"), "kELU", change.alpha ?? 1);
  network.markOutput(y, change.output ?? "y");
  network.prune();
  return network;
}

t.test("integers for enumerators, numbers for tensors, ranges of the inputs", async (t) => {
  const { inputs, layers, outputs } = toProgram(small());
  t.same(inputs, [
    {
      tensor: 0,
      name: "x",
      type: 0,
      dims: [-1, 3],
      shape: { min: [1, 3], opt: [2, 3], max: [4, 3] },
      values: null,
    },
  ]);
  t.same(
    layers.map(({ type, inputs, outputs }) => [type, inputs, outputs]),
    [
      ["kCONSTANT", [], [1]],
      ["kELEMENTWISE", [0, 1], [2]],
      ["kACTIVATION", [2], [3]],
    ],
  );
  t.same(layers[1]?.attributes, { operation: 1 });
  t.same(layers[2]?.attributes, { activationType: 4, alpha: 1, beta: 0 });
  t.same(outputs, [{ tensor: 3, name: "y" }]);
});

t.test("weights are the network's own bytes", async (t) => {
  const values = new Uint8Array(12);
  const network = new Network();
  network.markOutput(network.addConstant({ type: "kFLOAT", dims: [3], values }), "y");
  const weights = toProgram(network).layers[0]?.attributes.weights as { values: Uint8Array };
  t.equal(weights.values, values);
});

t.test("an optional input that is absent is -1, a dynamic size too, a scalar input has a value range", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [2, 3]);
  const count = network.addInput("count", "kINT64", []);
  const size = network.newSymbol("count", { min: 1, max: 9 }, { tensor: count });
  const fill = network.addFill(
    [mul(size, 2)],
    "kLINSPACE",
    "kFLOAT",
    network.addConstant(makeWeights("kFLOAT", [], [0])),
    network.addConstant(makeWeights("kFLOAT", [1], [1])),
  );
  const slice = network.addSlice(
    x,
    [0, -1],
    [2, 5],
    [1, 1],
    "kFILL",
    network.addConstant(makeWeights("kFLOAT", [], [0])),
  );
  network.markOutput(fill, "fill");
  network.markOutput(slice, "slice");
  const { inputs, layers } = toProgram(network);
  t.same(inputs[1]?.values, { min: [1], opt: [5], max: [9] });
  t.same(inputs[0]?.values, null);
  t.same(layers.find(({ type }) => type === "kFILL")?.attributes.dimensions, [-1]);
  t.same(layers.find(({ type }) => type === "kSLICE")?.inputs.slice(1, 4), [-1, -1, -1]);
});

t.test("equal networks have equal keys, whatever their layers are called", async (t) => {
  const key = networkKey(toProgram(small()));
  t.match(key, /^[0-9a-f]{64}$/);
  t.equal(networkKey(toProgram(small())), key);
  t.equal(networkKey(toProgram(small({ prefix: "features.0" }))), key);
  t.equal(networkKey(toProgram(small({ unused: true }))), key, "a pruned layer leaves no trace");
});

t.test("what changes the engine changes the key", async (t) => {
  const networks = [
    small(),
    small({ values: [1, 2, 4] }),
    small({ output: "z" }),
    small({ alpha: 2 }),
    small({ alpha: Number.POSITIVE_INFINITY }),
    small({ alpha: -0 }),
    small({ alpha: 0 }),
  ];
  t.equal(new Set(networks.map((network) => networkKey(toProgram(network)))).size, networks.length);
});

t.test("weights in a Buffer are hashed as bytes", async (t) => {
  const key = (values: Uint8Array): string => {
    const network = new Network();
    network.markOutput(network.addConstant({ type: "kFLOAT", dims: [1], values }), "y");
    return networkKey(toProgram(network));
  };
  t.equal(key(Buffer.from([1, 2, 3, 4])), key(new Uint8Array([1, 2, 3, 4])));
  t.not(key(Buffer.from([1, 2, 3, 4])), key(Buffer.from([1, 2, 3, 5])));
});
