import type { Graph } from "../ir/graph.js";
import type { Program } from "../ir/module.js";
import { bindDefaults } from "./bind-defaults.js";
import { eliminateDeadCode } from "./eliminate-dead-code.js";
import { flattenDicts } from "./flatten-dicts.js";
import { flattenLists } from "./flatten-lists.js";
import { flattenObjects } from "./flatten-objects.js";
import { flattenTuples } from "./flatten-tuples.js";
import { foldBatchNorm } from "./fold-batch-norm.js";
import { foldConstants } from "./fold-constants.js";
import { freeze } from "./freeze.js";
import { functionalize } from "./functionalize.js";
import { inlineCalls } from "./inline-calls.js";
import { mergeDuplicates } from "./merge-duplicates.js";
import { poolConstants } from "./pool-constants.js";
import { removeDropout } from "./remove-dropout.js";
import { removeExceptions } from "./remove-exceptions.js";
import { removeMessages } from "./remove-messages.js";
import { removeNoOps } from "./remove-no-ops.js";
import { removeOptionals } from "./remove-optionals.js";
import { removeRoundTrips } from "./remove-round-trips.js";
import { LoweringReport, type Removal } from "./report.js";
import { resolveBranches } from "./resolve-branches.js";
import { StateWrites } from "./state-writes.js";
import { unrollLoops } from "./unroll-loops.js";

export interface LoweringOptions {
  /** Called with the graph after each pass that changed it, for `--dump-ir`. The graph goes on changing: print it at once. */
  readonly dumpIr?: (passName: string, graph: Graph) => void;
  /** How many tensors the method will be given; optional ones beyond them are None. Without it they stay inputs. */
  readonly inputCount?: number | undefined;
  /** How many nodes unrolling loops may add in all; 200 000 when not given. */
  readonly unrollBudget?: number;
}

/** A method ready for conversion. */
export interface LoweredMethod {
  /** Without calls, attributes of modules and writes to tensors. Its inputs are the method's, without `self`. */
  readonly graph: Graph;
  /** What the passes took out, for the support report. */
  readonly removed: readonly Removal[];
}

/** Rounds of simplification: one for each loop within a loop and each list that depends on one, and some to spare. */
const MAX_ROUNDS = 100;

const UNROLL_BUDGET = 200_000;

/**
 * Takes a method of a program to the form that conversion reads. The stages, each a pass or a round of passes:
 *
 * 1. bind-defaults: inputs that are no tensors become what the signature gives them;
 *    inline-calls: methods and functions become part of the graph
 * 2. freeze: attributes of modules become constants
 * 3. remove-messages: warnings, prints, `no_grad`
 * 4. simplify, until nothing changes: constants folded, branches on known conditions taken, exceptions removed, loops
 *    unrolled, tuples, lists, dicts and objects taken apart, dead code removed
 * 5. remove-dropout
 * 6. functionalize: writes in place become new values
 * 7. simplify again
 * 8. merge-duplicates: common subexpressions
 * 9. remove-no-ops: copies and changes of memory layout
 * 10. fold-batch-norm
 * 11. pool-constants: each constant once, at the front
 *
 * Throws `unsupported` where a later call would read what the method leaves in its module (see {@link StateWrites}).
 *
 * A `prim::If` or `prim::Loop` that depends on shapes or on data stays: conversion resolves those on shapes.
 */
export function lower(program: Program, method: string, options: LoweringOptions = {}): LoweredMethod {
  const report = new LoweringReport();
  const graph = program.method(program.typeName, method).copy();
  // What becomes of state in a program of torch.export is decided where that is read.
  const state = program.format === "torchscript" ? new StateWrites() : undefined;
  const stages = new Stages(graph, report, options);
  stages.run("bind-defaults", () => bindDefaults(graph, options.inputCount, report));
  stages.run("inline-calls", () => inlineCalls(graph, program));
  stages.run("freeze", () => freeze(graph, program.root, report, state));
  stages.run("remove-messages", () => removeMessages(graph, report));
  stages.simplify();
  if (state?.settle(graph) === true) stages.simplify();
  stages.run("remove-dropout", () => removeDropout(graph, report));
  stages.run("functionalize", () => functionalize(graph, report, state));
  stages.simplify();
  stages.run("merge-duplicates", () => mergeDuplicates(graph));
  stages.run("remove-no-ops", () => removeNoOps(graph, report));
  stages.run("fold-batch-norm", () => foldBatchNorm(graph, report));
  stages.run("eliminate-dead-code", () => eliminateDeadCode(graph));
  stages.run("pool-constants", () => poolConstants(graph));
  state?.check(graph);
  return { graph, removed: report.removals };
}

class Stages {
  readonly #graph: Graph;
  readonly #report: LoweringReport;
  readonly #dumpIr: LoweringOptions["dumpIr"];
  readonly #budget: { nodes: number };

  constructor(graph: Graph, report: LoweringReport, options: LoweringOptions) {
    this.#graph = graph;
    this.#report = report;
    this.#dumpIr = options.dumpIr;
    this.#budget = { nodes: options.unrollBudget ?? UNROLL_BUDGET };
  }

  run(name: string, pass: () => boolean): boolean {
    const changed = pass();
    if (changed) this.#dumpIr?.(name, this.#graph);
    return changed;
  }

  simplify(): void {
    const graph = this.#graph;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const changes = [
        this.run("fold-constants", () => foldConstants(graph)),
        this.run("resolve-branches", () => resolveBranches(graph)),
        this.run("remove-exceptions", () => removeExceptions(graph, this.#report)),
        this.run("remove-optionals", () => removeOptionals(graph)),
        this.run("remove-round-trips", () => removeRoundTrips(graph)),
        this.run("flatten-tuples", () => flattenTuples(graph)),
        this.run("flatten-objects", () => flattenObjects(graph)),
        this.run("flatten-lists", () => flattenLists(graph)),
        this.run("flatten-dicts", () => flattenDicts(graph)),
        this.run("unroll-loops", () => unrollLoops(graph, this.#budget)),
        this.run("eliminate-dead-code", () => eliminateDeadCode(graph)),
      ];
      if (!changes.includes(true)) return;
    }
  }
}
