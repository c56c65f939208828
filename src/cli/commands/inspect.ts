import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { EngineTensor } from "../../backends/tensorrt/engine.js";
import type { DimRange } from "../../ir/input-spec.js";
import { messageOf, TrtorchError } from "../../util/errors.js";
import { formatBytes, formatTable } from "../../util/format.js";
import { isZip } from "../../util/zip.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { readHead } from "../file-head.js";

interface InspectOptions {
  readonly json?: boolean;
}

interface TensorLine {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly string[];
}

/** What a file says of itself. */
type Inspection = { readonly file: string; readonly size: number } & (
  | {
      readonly kind: "model";
      readonly format: "TorchScript" | "torch.export";
      readonly methods: readonly {
        readonly name: string;
        /** Null where the file does not say. */
        readonly inputs: readonly TensorLine[] | null;
        readonly operators: Readonly<Record<string, number>>;
        readonly parameters: number;
      }[];
    }
  | {
      readonly kind: "engine";
      readonly library: string;
      /** From the manifest that a build writes beside an engine. */
      readonly manifest: Readonly<Record<string, unknown>> | null;
      /** Null where no GPU and library here can load it; `reason` says why. */
      readonly tensors: { readonly inputs: readonly TensorLine[]; readonly outputs: readonly TensorLine[] } | null;
      readonly reason: string | null;
    }
  | { readonly kind: "onnx"; readonly inputs: readonly TensorLine[]; readonly outputs: readonly TensorLine[] }
);

export function defineInspect(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("inspect")
    .description("what a model file, an engine or an ONNX file holds")
    .argument("<file>", "a .ts, .pt2, .engine or .onnx")
    .option("--json", "as JSON")
    .action(run((file: string, options: InspectOptions) => inspect(file, options, context)));
}

async function inspect(name: string, options: InspectOptions, context: CliContext): Promise<ExitCode> {
  const file = resolve(context.cwd, name);
  const inspection = await examine(file, name);
  context.stdout(options.json === true ? `${JSON.stringify(inspection, null, 2)}\n` : describe(inspection));
  return 0;
}

async function examine(file: string, name: string): Promise<Inspection> {
  const { size, head } = await readHead(file, name);
  if (isZip(head)) return { file: name, size, ...(await examineModel(file)) };
  const { readPlanHeader } = await import("../../backends/tensorrt/plan-header.js");
  const header = readPlanHeader(head);
  if (header !== undefined) {
    return { file: name, size, ...(await examineEngine(file)), library: `${header.product} ${header.version}` };
  }
  if (file.endsWith(".onnx")) return { file: name, size, ...(await examineOnnx(file, name)) };
  throw new TrtorchError("usage", `${name} is no model, engine or ONNX file`, {
    hint: "its first bytes are those of none of them",
  });
}

async function examineModel(file: string) {
  const { defaultRegistry, load } = await import("../../index.js");
  const { lower } = await import("../../lowering/pipeline.js");
  const { makeReport } = await import("../../artifacts/report.js");
  const model = load(file);
  const registry = defaultRegistry();
  const methods = [];
  for (const name of model.methods) {
    const inputs = model.program.inputs(name);
    // Sizes may be open still: nothing is converted.
    const { graph, removed } = lower(model.program, name);
    const report = makeReport({ model: file, method: name, registry, graph, removals: removed });
    methods.push({
      name,
      inputs:
        inputs?.map((input) => ({ name: input.name, type: input.dtype, dims: input.dims.map(formatDim) })) ?? null,
      operators: Object.fromEntries(report.operators.map(({ operator, count }) => [operator, count])),
      parameters: report.parameters.elements,
    });
  }
  const exported = model.program.signature !== undefined;
  return { kind: "model", format: exported ? "torch.export" : "TorchScript", methods } as const;
}

async function examineEngine(file: string) {
  const manifest = await readFile(join(dirname(file), "manifest.json"), "utf8").then(
    (text) => JSON.parse(text) as Record<string, unknown>,
    () => null,
  );
  try {
    const { loadEngine } = await import("../../backends/tensorrt/engine.js");
    const engine = await loadEngine(file);
    const lines = (tensors: readonly EngineTensor[]) =>
      tensors.map(({ name, type, dims }) => ({ name, type, dims: dims.map(String) }));
    const tensors = { inputs: lines(engine.inputs), outputs: lines(engine.outputs) };
    await engine.dispose();
    return { kind: "engine", manifest, tensors, reason: null } as const;
  } catch (error) {
    // An engine is looked at where it was built as often as where it can run.
    if (!(error instanceof TrtorchError)) throw error;
    return { kind: "engine", manifest, tensors: null, reason: error.message } as const;
  }
}

async function examineOnnx(file: string, name: string) {
  const { InferenceSession } = await import("onnxruntime-node").catch((cause: unknown) => {
    throw new TrtorchError("missing-library", "onnxruntime-node is not installed", {
      hint: "npm install onnxruntime-node",
      cause,
    });
  });
  const session = await InferenceSession.create(file).catch((cause: unknown) => {
    const reason = messageOf(cause);
    throw new TrtorchError("archive", `${name} is no ONNX file that onnxruntime reads: ${reason}`, { cause });
  });
  try {
    const lines = (values: typeof session.inputMetadata): TensorLine[] =>
      values.map((value) =>
        value.isTensor
          ? { name: value.name, type: value.type, dims: value.shape.map(String) }
          : { name: value.name, type: "not a tensor", dims: [] },
      );
    return { kind: "onnx", inputs: lines(session.inputMetadata), outputs: lines(session.outputMetadata) } as const;
  } finally {
    await session.release();
  }
}

function formatDim(dim: number | DimRange): string {
  if (typeof dim === "number") return String(dim);
  return `${dim.least ?? dim.min}..${Number.isFinite(dim.max) ? dim.max : "∞"}`;
}

function describe(inspection: Inspection): string {
  const head = `${basename(inspection.file)}: `;
  const size = formatBytes(inspection.size);
  const tensors = (title: string, lines: readonly TensorLine[]) =>
    lines.map(({ name, type, dims }) => `${title} ${name}: ${type} [${dims.join(", ")}]`);
  switch (inspection.kind) {
    case "model": {
      const lines = [`${head}${inspection.format}, ${size}`];
      for (const { name, inputs, operators, parameters } of inspection.methods) {
        lines.push("", `method ${name}: ${parameters} parameters`);
        lines.push(...(inputs === null ? ["  inputs: the file does not say"] : tensors("  input", inputs)));
        lines.push(formatTable(Object.entries(operators).map(([operator, times]) => [`  ${operator}`, `${times} x`])));
      }
      return `${lines.join("\n")}\n`;
    }
    case "engine": {
      const lines = [`${head}engine of ${inspection.library}, ${size}`];
      const { manifest } = inspection;
      if (manifest !== null) {
        for (const key of ["model", "method", "precision", "target", "networkKey"]) {
          if (typeof manifest[key] === "string") lines.push(`${key}: ${manifest[key]}`);
        }
      }
      if (inspection.tensors === null) lines.push(`not loaded: ${inspection.reason}`);
      else lines.push(...tensors("input", inspection.tensors.inputs), ...tensors("output", inspection.tensors.outputs));
      return `${lines.join("\n")}\n`;
    }
    case "onnx": {
      const lines = [
        `${head}ONNX, ${size}`,
        ...tensors("input", inspection.inputs),
        ...tensors("output", inspection.outputs),
      ];
      return `${lines.join("\n")}\n`;
    }
  }
}
