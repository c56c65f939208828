import type { ITensor } from "../../network/layers.js";
import type { Dim } from "../../network/symbolic.js";
import { range, sliceAxis } from "../axes.js";
import type { ConversionContext } from "../context.js";
import { elementWise, expandRank, reshape } from "../operands.js";
import { type Converter, converter } from "../registry.js";
import type { TensorValue } from "../values.js";
import { matmul } from "./matmul.js";
import { flipped } from "./rearrange.js";

type Cell = "lstm" | "gru" | "tanh" | "relu";

/** What a step multiplies the hidden state by. */
interface HiddenParameters {
  readonly hiddenWeight: TensorValue;
  readonly hiddenBias: TensorValue | null;
  /** LSTMs with `proj_size`: maps the hidden state to its output. */
  readonly projection: TensorValue | null;
}

interface Parameters extends HiddenParameters {
  readonly inputWeight: TensorValue;
  readonly inputBias: TensorValue | null;
}

/** h, and for an LSTM c behind it. */
type State = readonly ITensor[];

function affine(ctx: ConversionContext, x: TensorValue, weight: TensorValue, bias: TensorValue | null): TensorValue {
  const y = matmul(ctx, x, weight, true);
  return bias === null ? y : elementWise(ctx, y, bias, "kSUM");
}

/** The part of the last axis that belongs to gate `index` of `count`. */
function gate(ctx: ConversionContext, x: ITensor, index: number, count: number): ITensor {
  const last = x.dims.length - 1;
  const size = (x.dims[last] as number) / count;
  return sliceAxis(ctx, x, last, index * size, size);
}

/**
 * One step. `fromInput` is `x W_ih^T + b_ih`, which does not depend on the state. The equations are those of
 * torch.nn.LSTMCell, GRUCell and RNNCell; gates follow each other as i f g o and r z n.
 */
function step(
  ctx: ConversionContext,
  cell: Cell,
  fromInput: ITensor,
  state: State,
  parameters: HiddenParameters,
): State {
  const { network } = ctx;
  const [hidden, memory] = state as [ITensor, ITensor];
  const fromHidden = affine(ctx, ctx.tensorValue(hidden), parameters.hiddenWeight, parameters.hiddenBias).tensor;
  const sigmoid = (x: ITensor): ITensor => network.addActivation(x, "kSIGMOID");
  const tanh = (x: ITensor): ITensor => network.addActivation(x, "kTANH");
  const sum = (a: ITensor, b: ITensor): ITensor => network.addElementWise(a, b, "kSUM");
  const product = (a: ITensor, b: ITensor): ITensor => network.addElementWise(a, b, "kPROD");
  if (cell === "lstm") {
    const gates = sum(fromInput, fromHidden);
    const [i, f, g, o] = [0, 1, 2, 3].map((index) => gate(ctx, gates, index, 4)) as [
      ITensor,
      ITensor,
      ITensor,
      ITensor,
    ];
    const nextMemory = sum(product(sigmoid(f), memory), product(sigmoid(i), tanh(g)));
    const next = product(sigmoid(o), tanh(nextMemory));
    if (parameters.projection === null) return [next, nextMemory];
    return [matmul(ctx, ctx.tensorValue(next), parameters.projection, true).tensor, nextMemory];
  }
  if (cell === "gru") {
    const x = [0, 1, 2].map((index) => gate(ctx, fromInput, index, 3)) as [ITensor, ITensor, ITensor];
    const h = [0, 1, 2].map((index) => gate(ctx, fromHidden, index, 3)) as [ITensor, ITensor, ITensor];
    const reset = sigmoid(sum(x[0], h[0]));
    const update = sigmoid(sum(x[1], h[1]));
    const candidate = tanh(sum(x[2], product(reset, h[2])));
    // (1 - z) n + z h = n + z (h - n)
    return [sum(candidate, product(update, network.addElementWise(hidden, candidate, "kSUB")))];
  }
  return [network.addActivation(sum(fromInput, fromHidden), cell === "tanh" ? "kTANH" : "kRELU")];
}

interface Run {
  /** `[time, batch, directions * hidden]` */
  readonly outputs: ITensor;
  /** The state after each direction's last step, `[directions, batch, hidden]` each. */
  readonly last: State;
}

/**
 * One layer over `x` `[time, batch, features]`, from `initial` states `[directions, batch, hidden]`. Two directions are a batch of
 * two: the second sees the sequence turned round, and its outputs are turned back. That takes as many steps as one does, and no
 * second loop: of those, TensorRT 10.6 gets layers over each other wrong when the length is a range.
 */
function run(
  ctx: ConversionContext,
  cell: Cell,
  x: TensorValue,
  initial: State,
  directions: readonly Parameters[],
): Run {
  const { network } = ctx;
  const [length, batch] = x.dims as [Dim, Dim];
  const inputs = directions.map(({ inputWeight, inputBias }, direction) => {
    const fromInput = affine(ctx, direction === 1 ? flipped(ctx, x, [0]) : x, inputWeight, inputBias);
    return reshape(ctx, fromInput.tensor, [length, 1, batch, fromInput.dims[2] as Dim]);
  });
  const parameters = stacked(ctx, directions);
  const loop = network.addLoop();
  loop.addTripLimit(network.addCast(network.scalarTensor(length), "kINT32"), "kCOUNT");
  const current = loop.addIterator(concatenated(ctx, inputs, 1), 0);
  const states = initial.map((value) => loop.addRecurrence(value));
  const values = states.map(({ value }) => value);
  const next = loop.body(() => step(ctx, cell, current, values, parameters));
  states.forEach(({ setNext }, i) => {
    setNext(next[i] as ITensor);
  });
  const outputs = ctx.tensorValue(loop.addLoopOutput(next[0] as ITensor, "kCONCATENATE", 0, length));
  const last = values.map((value) => loop.addLoopOutput(value, "kLAST_VALUE"));
  const hidden = outputs.dims[3] as Dim;
  const each = directions.map((_, direction) => {
    const own = sliceAxis(ctx, outputs.tensor, 1, direction, 1);
    const sequence = ctx.tensorValue(reshape(ctx, own, [length, batch, hidden]));
    return (direction === 1 ? flipped(ctx, sequence, [0]) : sequence).tensor;
  });
  return { outputs: concatenated(ctx, each, 2), last };
}

/** Weights `[rows, columns]` of all directions as `[directions, rows, columns]`, biases `[rows]` as `[directions, 1, rows]`. */
function stacked(ctx: ConversionContext, directions: readonly HiddenParameters[]): HiddenParameters {
  const stack = (values: readonly (TensorValue | null)[]): TensorValue | null => {
    const matrices = values.filter((value) => value !== null).map(({ tensor }) => expandRank(ctx, tensor, 3));
    return matrices.length === 0 ? null : ctx.tensorValue(concatenated(ctx, matrices, 0));
  };
  return {
    hiddenWeight: stack(directions.map(({ hiddenWeight }) => hiddenWeight)) as TensorValue,
    hiddenBias: stack(directions.map(({ hiddenBias }) => hiddenBias)),
    projection: stack(directions.map(({ projection }) => projection)),
  };
}

function concatenated(ctx: ConversionContext, tensors: readonly ITensor[], axis: number): ITensor {
  return tensors.length === 1 ? (tensors[0] as ITensor) : ctx.network.addConcatenation(tensors, axis);
}

interface SequenceArguments {
  readonly input: TensorValue;
  readonly hx: readonly TensorValue[];
  readonly params: readonly TensorValue[];
  readonly has_biases: boolean;
  readonly num_layers: number;
  readonly train: boolean;
  readonly bidirectional: boolean;
  readonly batch_first: boolean;
}

/** Layers over each other, each in one or two directions. Returns outputs, then the last states stacked layer by layer. */
function sequence(ctx: ConversionContext, cell: Cell, args: SequenceArguments): ITensor[] {
  const { network } = ctx;
  if (args.train)
    ctx.unsupported("the graph was made in training mode", "Call model.eval() before exporting the model.");
  const swap = (tensor: ITensor): ITensor =>
    args.batch_first ? network.addShuffle(tensor, { firstTranspose: [1, 0, 2] }) : tensor;
  const directions = args.bidirectional ? 2 : 1;
  const perCell = args.params.length / (args.num_layers * directions);
  const projected = perCell === (args.has_biases ? 5 : 3);
  let x = ctx.tensorValue(swap(args.input.tensor));
  const lasts: State[] = [];
  for (let layer = 0; layer < args.num_layers; layer++) {
    const first = layer * directions;
    const parameters = range(directions).map((direction): Parameters => {
      const own = args.params.slice((first + direction) * perCell, (first + direction + 1) * perCell);
      return {
        inputWeight: own[0] as TensorValue,
        hiddenWeight: own[1] as TensorValue,
        inputBias: args.has_biases ? (own[2] as TensorValue) : null,
        hiddenBias: args.has_biases ? (own[3] as TensorValue) : null,
        projection: projected ? (own.at(-1) as TensorValue) : null,
      };
    });
    const initial = args.hx.map((state) => sliceAxis(ctx, state.tensor, 0, first, directions));
    const { outputs, last } = run(ctx, cell, x, initial, parameters);
    lasts.push(last);
    x = ctx.tensorValue(outputs);
  }
  const states = args.hx.map((_, i) =>
    concatenated(
      ctx,
      lasts.map((last) => last[i] as ITensor),
      0,
    ),
  );
  return [swap(x.tensor), ...states];
}

export const lstm = converter(
  "aten::lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
  (ctx, args) => sequence(ctx, "lstm", args) as [ITensor, ITensor, ITensor],
);

const single = (name: string, cell: Cell): Converter =>
  converter(
    `aten::${name}.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)` as "aten::gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
    (ctx, args) => sequence(ctx, cell, { ...args, hx: [args.hx] }) as [ITensor, ITensor],
  );

export const sequences = [single("gru", "gru"), single("rnn_tanh", "tanh"), single("rnn_relu", "relu")];

interface CellArguments {
  readonly input: TensorValue;
  readonly w_ih: TensorValue;
  readonly w_hh: TensorValue;
  readonly b_ih: TensorValue | null;
  readonly b_hh: TensorValue | null;
}

function cellStep(ctx: ConversionContext, cell: Cell, args: CellArguments, state: State): State {
  const parameters = { hiddenWeight: args.w_hh, hiddenBias: args.b_hh, projection: null };
  return step(ctx, cell, affine(ctx, args.input, args.w_ih, args.b_ih).tensor, state, parameters);
}

export const lstmCell = converter(
  "aten::lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)",
  (ctx, args) =>
    cellStep(
      ctx,
      "lstm",
      args,
      args.hx.map((state) => state.tensor),
    ) as [ITensor, ITensor],
);

const singleCell = (name: string, cell: Cell): Converter =>
  converter(
    `aten::${name}(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor` as "aten::gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
    (ctx, args) => cellStep(ctx, cell, args, [args.hx.tensor])[0] as ITensor,
  );

export const cells = [
  singleCell("gru_cell", "gru"),
  singleCell("rnn_tanh_cell", "tanh"),
  singleCell("rnn_relu_cell", "relu"),
];
