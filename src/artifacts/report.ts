import type { ConvertedNode } from "../conversion/convert.js";
import type { Registry } from "../conversion/registry.js";
import { allNodes, constantOf, type Graph, type Node } from "../ir/graph.js";
import { Tensor } from "../ir/tensor.js";
import type { Removal } from "../lowering/report.js";
import type { DataType } from "../network/enums.js";
import type { Network } from "../network/network.js";
import { engineSegments, type Partition } from "../partition/partition.js";
import { nameOf } from "../partition/trace.js";
import type { OutputComparison } from "../plan/job.js";
import { formatLocation } from "../util/errors.js";
import { formatErrors } from "../util/format.js";
import { type GraphOutline, outlineOf } from "./graph-outline.js";
import { code, plain, tableRow } from "./markdown.js";

/** What becomes of one operator of a method. */
export interface OperatorReport {
  /** `aten::conv2d`, with the overload's name where there is one. */
  readonly operator: string;
  readonly count: number;
  /** Who handles it; null: nobody. */
  readonly handledBy: "converter" | "evaluator" | "control flow" | null;
  /** The module of the converter: `converters/convolution`, or a user's file. */
  readonly origin: string | null;
  /** Layers that its nodes became; null when the method was not converted. */
  readonly layers: number | null;
  /** Where in the user's source it stands, `file:line`, each place once. */
  readonly sources: readonly string[];
}

export interface BindingReport {
  readonly name: string;
  readonly type: DataType;
  /** Sizes, or `min..max` where they vary. */
  readonly dims: readonly string[];
}

/** Operators that run one after the other in one place. */
export interface SegmentReport {
  readonly runs: "TensorRT" | "Torch";
  /** In the order of execution. */
  readonly nodes: readonly {
    readonly operator: string;
    /** `file:line`; null where the file does not say. */
    readonly source: string | null;
    /** Why it stays with Torch; null in an engine. */
    readonly reason: string | null;
  }[];
  /** Of the engine; null in Torch. */
  readonly layers: number | null;
  readonly inputs: readonly BindingReport[];
  readonly outputs: readonly BindingReport[];
}

/** Whether a method can be built, and of what it is made. JSON. */
export interface SupportReport {
  readonly model: string;
  readonly method: string;
  readonly supported: boolean;
  /** Why not, when an operator is there but cannot be converted as it is used. */
  readonly problem: string | null;
  readonly operators: readonly OperatorReport[];
  /** What lowering took out, pass by pass. */
  readonly removed: readonly {
    readonly pass: string;
    readonly kind: string;
    readonly count: number;
    readonly details: readonly string[];
  }[];
  /** Constant tensors of the method: their number and elements. */
  readonly parameters: { readonly tensors: number; readonly elements: number };
  readonly inputs: readonly BindingReport[];
  readonly outputs: readonly BindingReport[];
  /** Layers of the network by type. */
  readonly layers: Readonly<Record<string, number>>;
  /** Where each part of the method runs, in order; absent when TensorRT runs all of it. */
  readonly segments?: readonly SegmentReport[];
  /** The lowered graph, to be drawn. */
  readonly graph: GraphOutline;
}

export interface ReportInput {
  readonly model: string;
  readonly method: string;
  readonly graph: Graph;
  readonly removals: readonly Removal[];
  readonly registry: Registry;
  readonly converted?: readonly ConvertedNode[] | undefined;
  readonly network?: Network | undefined;
  /** In place of a network, when parts of the method stay with Torch. */
  readonly partition?: Partition | undefined;
  readonly problem?: string | undefined;
}

const CONTROL_FLOW = new Set(["prim::If", "prim::Loop"]);

export function makeReport(input: ReportInput): SupportReport {
  const engines = input.partition === undefined ? [] : engineSegments(input.partition);
  const networks = input.network === undefined ? engines.map(({ conversion }) => conversion.network) : [input.network];
  const converted =
    input.converted ?? (engines.length === 0 ? undefined : engines.flatMap(({ conversion }) => conversion.nodes));
  const layers = new Map<string, number>();
  for (const { node, layers: count } of converted ?? [])
    layers.set(nameOf(node), (layers.get(nameOf(node)) ?? 0) + count);
  const operators = new Map<string, Node[]>();
  const parameters = new Set<Tensor>();
  for (const node of allNodes(input.graph.block)) {
    if (node.kind === "prim::Constant") {
      const value = constantOf(node.output());
      if (value instanceof Tensor) parameters.add(value);
      continue;
    }
    const nodes = operators.get(nameOf(node));
    if (nodes === undefined) operators.set(nameOf(node), [node]);
    else nodes.push(node);
  }
  const rows = [...operators].map(([operator, nodes]): OperatorReport => {
    const node = nodes[0] as Node;
    const handledBy = CONTROL_FLOW.has(node.kind) ? "control flow" : (input.registry.supports(node) ?? null);
    return {
      operator,
      count: nodes.length,
      handledBy,
      origin: input.registry.originOf(node) ?? null,
      layers: converted === undefined ? null : (layers.get(operator) ?? 0),
      sources: [...new Set(nodes.flatMap(placesOf))],
    };
  });
  rows.sort((a, b) => Number(a.handledBy !== null) - Number(b.handledBy !== null) || b.count - a.count);
  const unconverted = rows.filter((row) => row.handledBy === null);
  return {
    model: input.model,
    method: input.method,
    // A converted method is supported, even if a branch that is never taken holds an operator that is not.
    supported: networks.length > 0 || (unconverted.length === 0 && input.problem === undefined),
    problem: input.problem ?? null,
    operators: rows,
    removed: input.removals.map(({ pass, kind, count, details }) => ({ pass, kind, count, details })),
    parameters: {
      tensors: parameters.size,
      elements: [...parameters].reduce((sum, tensor) => sum + tensor.numel, 0),
    },
    inputs: input.network === undefined ? [] : input.network.inputs.map(bindingOf),
    outputs: input.network === undefined ? [] : input.network.outputs.map(bindingOf),
    layers: layerCounts(networks),
    ...(input.partition === undefined ? {} : { segments: input.partition.segments.map(segmentOf) }),
    graph: outlineOf(input.graph, input.registry, torchNodes(input.partition)),
  };
}

function torchNodes(partition: Partition | undefined): Set<Node> {
  const segments = partition?.segments.filter(({ runs }) => runs === "Torch") ?? [];
  return new Set(segments.flatMap(({ operations }) => operations.map(({ origin }) => origin)));
}

function placesOf(node: Node): string[] {
  const range = node.sourceRange;
  return range === undefined
    ? []
    : [formatLocation({ file: range.file, ...(range.line > 0 ? { line: range.line } : {}) })];
}

function bindingOf(tensor: Network["inputs"][number]): BindingReport {
  return {
    name: tensor.name,
    type: tensor.type,
    dims: tensor.dims.map((dim) => (typeof dim === "number" ? String(dim) : `${Math.max(dim.min, 0)}..${dim.max}`)),
  };
}

function segmentOf(segment: Partition["segments"][number]): SegmentReport {
  const network = segment.runs === "TensorRT" ? segment.conversion.network : undefined;
  return {
    runs: segment.runs,
    nodes: segment.operations.map(({ origin, torch }) => ({
      operator: nameOf(origin),
      source: placesOf(origin)[0] ?? null,
      reason: torch,
    })),
    layers: network?.layers.length ?? null,
    inputs: network?.inputs.map(bindingOf) ?? [],
    outputs: network?.outputs.map(bindingOf) ?? [],
  };
}

/** The operators of a method that Torch runs. */
export function operatorsInTorch(report: SupportReport): string[] {
  const nodes = (report.segments ?? []).flatMap((segment) => (segment.runs === "Torch" ? segment.nodes : []));
  return [...new Set(nodes.map(({ operator }) => operator))];
}

function layerCounts(networks: readonly Network[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of networks.flatMap(({ layers }) => layers)) counts[type] = (counts[type] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a));
}

/** The report for people: what is missing first, with its places. `comparison` is with the golden file, where there is one. */
export function renderMarkdown(report: SupportReport, comparison: readonly OutputComparison[] = []): string {
  const lines = [`# ${report.model}: ${report.method}`, ""];
  const missing = report.operators.filter((row) => row.handledBy === null);
  if (report.segments !== undefined) lines.push(...renderSegments(report.segments));
  else if (report.supported) lines.push("TensorRT runs all of this method.", "");
  else {
    lines.push(
      report.problem === null ? "**Not supported as it is.**" : `**Not supported as it is:** ${report.problem}`,
      "",
    );
    for (const row of missing) {
      lines.push(
        `- \`${row.operator}\` (${row.count}×) has no converter${row.sources.length > 0 ? `: ${row.sources.map(plain).join(", ")}` : ""}`,
      );
    }
    if (missing.length > 0) lines.push("");
  }
  if (report.inputs.length > 0) {
    lines.push("| binding | type | dims |", "|---|---|---|");
    for (const { name, type, dims } of [...report.inputs, ...report.outputs]) {
      lines.push(tableRow(code(name), type, dims.join(" × ") || "scalar"));
    }
    lines.push("");
  }
  if (comparison.length > 0) {
    lines.push("| beside golden | max error | allowed | mean error | cosine |", "|---|---:|---:|---:|---:|");
    for (const output of comparison) {
      const on = output.device === undefined ? "" : ` on ${output.device}`;
      lines.push(tableRow(`${code(output.output)}${plain(on)}`, ...formatErrors(output)));
    }
    lines.push("");
  }
  lines.push(
    `${report.parameters.tensors} constant tensors, ${report.parameters.elements.toLocaleString("en-US")} elements.`,
    "",
    "| operator | nodes | by | layers | source |",
    "|---|---:|---|---:|---|",
  );
  for (const row of report.operators) {
    const by =
      row.handledBy === null ? "**nobody**" : `${row.handledBy}${row.origin === null ? "" : ` ${code(row.origin)}`}`;
    lines.push(tableRow(code(row.operator), row.count, by, row.layers ?? "", shorten(row.sources)));
  }
  if (Object.keys(report.layers).length > 0) {
    lines.push("", "| layer | count |", "|---|---:|");
    for (const [type, count] of Object.entries(report.layers)) lines.push(tableRow(type, count));
  }
  if (report.removed.length > 0) {
    lines.push("", "Removed by lowering:", "", "| pass | what | count | details |", "|---|---|---:|---|");
    for (const { pass, kind, count, details } of report.removed) {
      lines.push(tableRow(pass, code(kind), count, plain(details.join("; "))));
    }
  }
  return `${lines.join("\n")}\n`;
}

function renderSegments(segments: readonly SegmentReport[]): string[] {
  const count = (runs: SegmentReport["runs"]): number =>
    segments.reduce((sum, segment) => sum + (segment.runs === runs ? segment.nodes.length : 0), 0);
  const engines = segments.filter(({ runs }) => runs === "TensorRT").length;
  const lines = [
    `TensorRT runs ${count("TensorRT")} operators of this method in ${engines === 1 ? "one engine" : `${engines} engines`}, ${count("Torch")} stay with Torch.`,
    "",
    "| segment | runs in | operators | why in Torch | source |",
    "|---:|---|---|---|---|",
  ];
  segments.forEach(({ runs, nodes, layers }, i) => {
    if (runs === "TensorRT") {
      lines.push(tableRow(i, "TensorRT", `${nodes.length} operators, ${layers} layers`, "", ""));
      return;
    }
    // Neighbours that are there for the same reason share a row.
    const rows: { operators: Set<string>; reason: string; sources: Set<string> }[] = [];
    for (const { operator, reason, source } of nodes) {
      const last = rows.at(-1);
      const row =
        last?.reason === reason
          ? last
          : { operators: new Set<string>(), reason: reason ?? "", sources: new Set<string>() };
      if (row !== last) rows.push(row);
      row.operators.add(code(operator));
      if (source !== null) row.sources.add(source);
    }
    for (const { operators, reason, sources } of rows) {
      lines.push(tableRow(i, "Torch", [...operators].join(", "), plain(reason), shorten([...sources])));
    }
  });
  lines.push("");
  return lines;
}

/** A table stays readable with a few places; the JSON has all of them. */
function shorten(sources: readonly string[]): string {
  const shown = sources.slice(0, 3).map(plain).join("<br>");
  return sources.length > 3 ? `${shown}<br>and ${sources.length - 3} more` : shown;
}
