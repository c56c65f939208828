import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { TrtorchError } from "./errors.js";
import { describeRefusal } from "./system-error.js";

/** `.engine.trt.tmp-1234-9f86d081`: what is being written, or `old`: what is being replaced. */
const LEFTOVER = /^\..+\.(tmp|old)-\d+-[0-9a-f]{8}$/;

/**
 * Writes a file so that at any moment the path holds the old content or the new one, whole, even if power fails.
 * Missing parent folders are made.
 *
 * @throws TrtorchError `artifact` where the disk refuses, with the reason in words.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = sibling(path, "tmp");
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      await writeFile(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw writeError(path, error);
  }
}

/**
 * Makes an empty folder beside `final` to write into; {@link publishDirectory} then puts it in place.
 * A process that dies in between leaves a folder that {@link sweepLeftovers} recognises.
 */
export async function stageDirectory(final: string): Promise<string> {
  const temporary = sibling(final, "tmp");
  try {
    await mkdir(temporary, { recursive: true });
  } catch (error) {
    throw writeError(temporary, error);
  }
  return temporary;
}

/**
 * Moves a staged folder to its final place, replacing what is there. Every file is on disk before the move. A reader sees the
 * old folder, for an instant none, then the new one; never a mixture.
 */
export async function publishDirectory(temporary: string, final: string): Promise<void> {
  const old = sibling(final, "old");
  try {
    await syncTree(temporary);
    try {
      await rename(final, old);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    await rename(temporary, final);
    await syncDirectory(dirname(final));
    await rm(old, { recursive: true, force: true });
  } catch (error) {
    throw writeError(final, error);
  }
}

/**
 * Removes what interrupted writers left below a folder, and returns the paths. Only for callers that know that
 * no other writer is at work there: they hold the folder's lock.
 */
export async function sweepLeftovers(directory: string, depth = 2): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const swept: string[] = [];
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (LEFTOVER.test(entry.name)) {
      await rm(path, { recursive: true, force: true });
      swept.push(path);
    } else if (entry.isDirectory() && depth > 0) {
      swept.push(...(await sweepLeftovers(path, depth - 1)));
    }
  }
  return swept;
}

/** True for a Node.js error with that code. */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? "");
}

function sibling(path: string, role: "tmp" | "old"): string {
  return join(dirname(path), `.${basename(path)}.${role}-${process.pid}-${randomBytes(4).toString("hex")}`);
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncPath(path);
  }
  await syncDirectory(directory);
}

async function syncDirectory(directory: string): Promise<void> {
  try {
    await syncPath(directory);
  } catch (error) {
    // Windows and some network file systems cannot sync a folder; the rename itself is still atomic there.
    if (!isErrno(error, "EPERM", "EACCES", "EINVAL", "EISDIR", "ENOTSUP")) throw error;
  }
}

async function syncPath(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

const FOLDER_GONE = {
  reason: "its folder disappeared while it was written",
  hint: "Something removed the output folder during the build; run again.",
};

function writeError(path: string, error: unknown): unknown {
  if (error instanceof TrtorchError) return error;
  if (!(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) return error;
  const { reason, hint } = (code === "ENOENT" ? FOLDER_GONE : describeRefusal(code)) ?? {
    reason: error.message,
    hint: undefined,
  };
  return new TrtorchError("artifact", `cannot write ${path}: ${reason}`, { hint, cause: error });
}
