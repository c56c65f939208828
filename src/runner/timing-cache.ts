import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { messageOf } from "../util/errors.js";
import { takeLock } from "../util/lock.js";

/**
 * The file of one device kind and one library version. TensorRT's documentation forbids carrying timings to another device, and
 * combining needs the very same version.
 */
export function timingCachePath(directory: string, library: string, version: string, device: string): string {
  const name = [library, version, device].join("-").replace(/[^A-Za-z0-9.+-]+/g, "_");
  return join(directory, `${name}.timing`);
}

/** The cache to start a build with, or null. Readers need no lock: the file is always whole. */
export async function readTimingCache(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

/**
 * Adds what a build has measured. Reading, combining and writing happen under one lock, so that no process loses another's timings.
 *
 * @param combine gets what the file holds now and gives what it shall hold; where it throws, the file is
 *   bad (another version's, or damaged): it is dropped and `combine` is asked again with null.
 * @returns why a bad cache was dropped, or null
 */
export async function mergeTimingCache(
  path: string,
  combine: (current: Buffer | null) => Promise<Uint8Array>,
): Promise<string | null> {
  const lock = await takeLock(`${path}.lock`, { timeout: 60_000 });
  try {
    const current = await readTimingCache(path);
    let dropped: string | null = null;
    let merged: Uint8Array;
    try {
      merged = await combine(current);
    } catch (error) {
      if (current === null) throw error;
      dropped = messageOf(error);
      await rm(path, { force: true });
      merged = await combine(null);
    }
    await writeFileAtomic(path, merged);
    return dropped;
  } finally {
    await lock.release();
  }
}
