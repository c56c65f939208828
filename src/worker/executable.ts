import { createSession } from "../backends/onnx/runtime.js";
import type { BenchOptions, BenchResult, Engine } from "../backends/tensorrt/engine.js";
import { FLAVOUR_FACTS } from "../backends/tensorrt/flavour.js";
import type { Tensor } from "../ir/tensor.js";
import { DATA_TYPES, type DataType } from "../network/enums.js";
import type { Network } from "../network/network.js";
import { type ProgramRange, toProgram } from "../network/program.js";
import type { Precision } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";

export type Tensors = Readonly<Record<string, Tensor>>;

export interface ExecutableInput {
  readonly name: string;
  readonly type: DataType;
  readonly shape: ProgramRange;
  /** For an input whose values are sizes of other tensors; else null. */
  readonly values: ProgramRange | null;
}

/** A network where it runs: an engine on a GPU, or the CPU reference. */
export interface Executable {
  /** For people: `TensorRT 10 on NVIDIA H200 (sm_90)`. */
  readonly place: string;
  readonly inputs: readonly ExecutableInput[];
  readonly outputs: readonly string[];
  /** Outputs by name for inputs by name. Numbers of another dtype than the input's are converted to it. */
  execute(inputs: Tensors): Promise<Tensors>;
  /** Times are between CUDA events on a GPU, and by the host's clock on the CPU. */
  bench(inputs: Tensors, options: Required<BenchOptions>): Promise<BenchResult>;
  dispose(): Promise<void>;
}

/** An engine, with the shapes of one of its optimization profiles. */
export function engineExecutable(engine: Engine, profile: number): Executable {
  const place = `${FLAVOUR_FACTS[engine.flavour].product} on ${engine.device}`;
  return {
    place,
    inputs: engine.inputs.map(({ name, type, profiles, values }) => {
      const shape = profiles[profile];
      if (shape !== undefined) return { name, type, shape, values: values[profile] ?? null };
      throw new TrtorchError("usage", `the engine has no optimization profile ${profile}`, {
        hint: `It has ${profiles.length}, counted from 0.`,
      });
    }),
    outputs: engine.outputs.map(({ name }) => name),
    execute: (inputs) => engine.execute(inputs),
    bench: (inputs, options) => engine.bench(inputs, options),
    dispose: () => engine.dispose(),
  };
}

/** A network on the CPU; `precision` is the one that it computes in. */
export async function cpuExecutable(network: Network, precision: Precision): Promise<Executable> {
  const session = await createSession(network);
  return {
    place: `${precision} in onnxruntime on the CPU`,
    inputs: toProgram(network).inputs.map(({ name, type, shape, values }) => ({
      name,
      type: DATA_TYPES[type] as DataType,
      shape,
      values,
    })),
    outputs: network.outputs.map(({ name }) => name),
    execute: (inputs) => session.run(inputs),
    bench: async (inputs, { warmup, iterations }) => {
      let outputs = await session.run(inputs);
      for (let i = 1; i < warmup; i++) await session.run(inputs);
      const times = new Float32Array(iterations);
      for (let i = 0; i < iterations; i++) {
        const start = performance.now();
        outputs = await session.run(inputs);
        times[i] = performance.now() - start;
      }
      return { times, usedGraph: false, outputs };
    },
    dispose: () => session.release(),
  };
}
