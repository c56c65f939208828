import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { parseChecked } from "../util/checked-json.js";
import type { Job, JobResult } from "./job.js";
import { JOB_RESULT } from "./job-result.js";
import type { StatCache } from "./stat-cache.js";

/** Everything that decides a job's result, each part under the name that a person knows it by. No part holds a path. */
export type KeyParts = Readonly<Record<string, string>>;

/** What is kept of a finished job: written after its artifacts, removed before they are touched. */
export interface FreshnessRecord {
  readonly version: 1;
  readonly key: string;
  readonly parts: KeyParts;
  readonly result: JobResult;
  readonly durationMs: number;
}

export type Freshness =
  | { readonly fresh: true; readonly record: FreshnessRecord }
  | { readonly fresh: false; readonly reasons: readonly string[] };

/** Hex SHA-256 of the parts, in any order. */
export function keyOf(parts: KeyParts): string {
  const sorted = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}

/** Where records live inside an output folder: they go with it when it is moved or removed. */
export const STATE_FOLDER = ".trtorch-build";

/** Inside the state folder while a run is at work. */
export const LOCK = ".lock";

const RECORD = z.looseObject({
  version: z.literal(1),
  key: z.string(),
  parts: z.record(z.string(), z.string()),
  result: JOB_RESULT,
  durationMs: z.number(),
});

/** Null where there is none, or what is there is no record: the job is as good as not built. */
export async function readRecord(outDir: string, id: string): Promise<FreshnessRecord | null> {
  try {
    return parseChecked<FreshnessRecord>(await readFile(recordPath(outDir, id), "utf8"), RECORD);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return null;
    throw error;
  }
}

export async function writeRecord(outDir: string, id: string, record: FreshnessRecord): Promise<void> {
  await writeFileAtomic(recordPath(outDir, id), `${JSON.stringify(record, null, 1)}\n`);
}

export async function removeRecord(outDir: string, id: string): Promise<void> {
  await rm(recordPath(outDir, id), { force: true });
}

/** Fresh: the same key, and every artifact is there with the content that was written. Else all reasons, in words. */
export async function checkFreshness(job: Job, parts: KeyParts, files: StatCache): Promise<Freshness> {
  const record = await readRecord(job.outDir, job.id);
  if (record === null) return { fresh: false, reasons: ["not built yet"] };
  const reasons = record.key === job.key ? [] : explain(record.parts, parts);
  if (reasons.length === 0) reasons.push(...(await findDamage(job, record, files)));
  return reasons.length === 0 ? { fresh: true, record } : { fresh: false, reasons };
}

function explain(before: KeyParts, now: KeyParts): string[] {
  const reasons: string[] = [];
  for (const part of [...new Set([...Object.keys(before), ...Object.keys(now)])].sort()) {
    const [old, current] = [before[part], now[part]];
    if (old === current) continue;
    // Hashes tell a person nothing; versions, devices and short options do.
    const readable = [old, current].every(
      (text) => text === undefined || (text.length <= 60 && !/^[0-9a-f]{64}/.test(text)),
    );
    reasons.push(readable ? `${part} changed: ${old ?? "none"} -> ${current ?? "none"}` : `${part} changed`);
  }
  return reasons;
}

async function findDamage(job: Job, record: FreshnessRecord, files: StatCache): Promise<string[]> {
  const damage: string[] = [];
  for (const { path, size, sha256 } of record.result.artifacts) {
    try {
      const found = await files.identify(join(job.outDir, job.id, path));
      if (found.size !== size || found.sha256 !== sha256) {
        damage.push(`artifact changed since it was written: ${path}`);
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
      damage.push(`artifact missing: ${path}`);
    }
  }
  return damage;
}

function recordPath(outDir: string, id: string): string {
  return join(outDir, STATE_FOLDER, `${id}.json`);
}
