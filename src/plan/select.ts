import { resolve } from "node:path";
import { TrtorchError } from "../util/errors.js";
import type { PlannedJob } from "./plan.js";

/**
 * The jobs that any pattern names. A pattern is a model's name or a job's id, `*` stands for anything, `!` in front takes out.
 *
 * @throws TrtorchError `usage` where nothing matches: a pattern with a mistake in it must not look like success
 */
export function filterJobs(jobs: readonly PlannedJob[], patterns: readonly string[]): PlannedJob[] {
  return filterByName(jobs, patterns, "job", ({ job }) => [job.id, job.model]);
}

/** As {@link filterJobs}, of anything that has names; the last of them is a model's. */
export function filterByName<T>(
  items: readonly T[],
  patterns: readonly string[],
  what: string,
  namesOf: (item: T) => readonly string[],
): T[] {
  if (patterns.length === 0) return [...items];
  const matchers = patterns.map((pattern) => {
    const out = pattern.startsWith("!");
    const body = (out ? pattern.slice(1) : pattern).split("*").map(escapeRegExp).join(".*");
    return { out, test: new RegExp(`^${body}$`) };
  });
  const included = matchers.filter((matcher) => !matcher.out);
  const matches = (item: T, { test }: { test: RegExp }) => namesOf(item).some((name) => test.test(name));
  const chosen = items.filter(
    (item) =>
      (included.length === 0 || included.some((matcher) => matches(item, matcher))) &&
      !matchers.some((matcher) => matcher.out && matches(item, matcher)),
  );
  if (chosen.length === 0) {
    const names = [...new Set(items.map((item) => namesOf(item).at(-1)))];
    const models = [...names.slice(0, 10), ...(names.length > 10 ? [`${names.length - 10} more`] : [])].join(", ");
    throw new TrtorchError("usage", `no ${what} matches ${patterns.join(" ")}`, { hint: `the models are ${models}` });
  }
  return chosen;
}

/** The jobs that a change of any of the files makes stale. */
export function affectedJobs(
  jobs: readonly PlannedJob[],
  files: readonly string[],
  config: string | null,
  cwd: string,
): PlannedJob[] {
  const changed = new Set(files.map((file) => resolve(cwd, file)));
  if (config !== null && changed.has(config)) return [...jobs];
  return jobs.filter((planned) => planned.files.some((file) => changed.has(file)));
}

/**
 * Reads `2/4`.
 *
 * @throws TrtorchError `usage`
 */
export function parseShard(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index < 1 || index > count) {
    throw new TrtorchError("usage", `"${text}" is no shard`, { hint: "--shard 2/4 is the second of four" });
  }
  return { index, count };
}

/**
 * The part of the jobs that one of `count` machines builds: longest first, each to the machine with the least so far. The same jobs
 * with the same costs are split the same way everywhere, whatever their order; every job is in exactly one shard.
 */
export function shardJobs(jobs: readonly PlannedJob[], shard: { index: number; count: number }): PlannedJob[] {
  const loads = new Array<number>(shard.count).fill(0);
  const mine = new Set<PlannedJob>();
  const sorted = jobs.toSorted((a, b) => b.cost - a.cost || (a.job.id < b.job.id ? -1 : 1));
  for (const planned of sorted) {
    const least = loads.indexOf(Math.min(...loads));
    loads[least] = (loads[least] as number) + planned.cost;
    if (least === shard.index - 1) mine.add(planned);
  }
  return jobs.filter((planned) => mine.has(planned));
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
