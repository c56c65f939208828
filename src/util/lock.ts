import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { open, readdir, rename, rm, rmdir, unlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno, stageDirectory } from "./atomic-write.js";
import { TrtorchError } from "./errors.js";
import { describeRefusal } from "./system-error.js";

/** Who holds a lock. */
interface Owner {
  readonly host: string;
  /** Where the pid means something: a boot of a machine, and the namespace in it. */
  readonly space: string;
  readonly pid: number;
  /** The process's start, as the kernel counts it: a pid alone may belong to a newer process. Null: nothing here tells it. */
  readonly start: string | null;
}

/** An owner's file, as it was seen. */
interface Holder {
  readonly id: string;
  /** Null where the file says nothing, as after a power failure. */
  readonly owner: Owner | null;
  /** Changes while the owner lives: the only sign of life that another machine or container can see. It is compared with itself only. */
  readonly beat: number;
}

export interface Lock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** Called once, when somebody else holds the lock and this call starts to wait. */
  readonly onWait?: (owner: string) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds; default: for ever. */
  readonly timeout?: number;
  /** Milliseconds, by our own timer, that the beat of an owner elsewhere may stand still before it counts as dead. */
  readonly deadAfter?: number;
}

const BEAT = 2_000;
const POLL = 100;

/**
 * A lock that one process at a time has, on this machine or on others that see the same folder. It is a folder with one file in it, whose
 * name is the owner's own:
 *
 * - it is taken by renaming a folder with the file in it to `path`, which the system does only where there is none, or an empty one;
 * - it is given back, or taken from a dead owner, by removing that one file by its name, which never hits another owner's.
 *
 * Each is one step for everybody who sees the folder, and no clock is asked. Whether an owner is dead, its process tells where it can be
 * looked up; elsewhere it is dead when its beat has stood still for long.
 *
 * @throws TrtorchError `cancelled` when the signal aborts, `artifact` when the time is up or `path` cannot be written
 */
export async function takeLock(path: string, options: LockOptions = {}): Promise<Lock> {
  const { onWait, signal, timeout = Number.POSITIVE_INFINITY, deadAfter = 20_000 } = options;
  const id = randomUUID();
  const file = join(path, id);
  const { pid } = process;
  const me: Owner = { host: hostname(), space: pidSpace(), pid, start: startOf(pid) };
  const deadline = performance.now() + timeout;
  let seen: { id: string; beat: number; since: number } | null = null;
  let announced = false;
  const isDead = ({ id, owner, beat }: Holder): boolean => {
    if (owner !== null && owner.space === me.space) {
      const start = startOf(owner.pid);
      return start === "" || (start !== null && owner.start !== null && start !== owner.start);
    }
    if (seen === null || seen.id !== id || seen.beat !== beat) seen = { id, beat, since: performance.now() };
    return performance.now() - seen.since > deadAfter;
  };

  for (let refusals = 0; ; ) {
    try {
      const holder = await findHolder(path);
      if (holder === null) {
        if (await claim(path, id, me)) break;
        // Somebody was faster; or something else lies in the folder.
        if (++refusals === 100) throw new TrtorchError("artifact", `cannot lock ${path}: it is no lock, remove it`);
      } else if (isDead(holder)) {
        await removeFile(join(path, holder.id));
        continue;
      } else {
        refusals = 0;
        const who = holder.owner === null ? "somebody" : `process ${holder.owner.pid} on ${holder.owner.host}`;
        if (!announced) onWait?.(who);
        announced = true;
        if (performance.now() > deadline) throw new TrtorchError("artifact", `${who} holds ${path}`);
      }
    } catch (error) {
      throw lockError(path, error);
    }
    await sleep(POLL, undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw new TrtorchError("cancelled", "cancelled while waiting for another run");
    });
  }

  const timer = setInterval(() => {
    const now = new Date();
    // A missed beat does no harm: others wait for many.
    utimes(file, now, now).catch(() => {});
  }, BEAT);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      try {
        await removeFile(file);
      } catch (error) {
        throw lockError(path, error);
      }
      await rmdir(path).catch(() => {});
    },
  };
}

async function findHolder(path: string): Promise<Holder | null> {
  try {
    const id = (await readdir(path)).find((name) => UUID.test(name));
    if (id === undefined) return null;
    // What an open file says of itself is no older than the opening, also on a network file system.
    const file = await open(join(path, id));
    try {
      const [text, { mtimeMs }] = [await file.readFile("utf8"), await file.stat()];
      return { id, owner: parseOwner(text), beat: mtimeMs };
    } finally {
      await file.close();
    }
  } catch (error) {
    // Given back a moment ago.
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** False where somebody else has the lock. */
async function claim(path: string, id: string, me: Owner): Promise<boolean> {
  const staged = await stageDirectory(path);
  try {
    await writeFile(join(staged, id), JSON.stringify(me));
    // Windows renames no folder over another, not even over an empty one.
    await rmdir(path).catch(() => {});
    await rename(staged, path);
    return true;
  } catch (error) {
    await rm(staged, { recursive: true, force: true });
    // ENOENT: who had the lock just now has swept away what nobody seemed to be writing. EPERM is what Windows says.
    if (isErrno(error, "ENOTEMPTY", "EEXIST", "EPERM", "ENOENT")) return false;
    throw error;
  }
}

async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    // Somebody was faster, or the folder is gone.
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
  });
}

function parseOwner(text: string): Owner | null {
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    return typeof owner?.pid === "number" && typeof owner.space === "string" ? (owner as Owner) : null;
  } catch {
    return null;
  }
}

function lockError(path: string, error: unknown): unknown {
  if (error instanceof TrtorchError || !(error instanceof Error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const refusal = describeRefusal(code);
  return new TrtorchError("artifact", `cannot lock ${path}: ${refusal?.reason ?? message}`, {
    hint: refusal?.hint,
    cause: error,
  });
}

/** The same for two processes that see each other by their pids. */
function pidSpace(): string {
  try {
    // Containers of one machine may have one name, and its boot in common, but not their pids.
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

/** Empty where there is no such process; null where there may be one, and nothing more is known. */
function startOf(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the program's name, may hold spaces and parentheses; the 22nd is the start time.
    const [state, ...rest] = fields.slice(fields.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? "" : (rest[18] ?? null);
  } catch {
    try {
      process.kill(pid, 0);
      return null;
    } catch (error) {
      return isErrno(error, "EPERM") ? null : "";
    }
  }
}
