import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lock } from "proper-lockfile";
import { LOCK_FILE } from "../plan/freshness.js";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";

/** Who holds a folder. */
interface Owner {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** The process's start, as the kernel counts it: a pid alone may belong to a newer process. */
  readonly start: string;
  /** Counts up while the owner lives: the only sign of life that another host can see. */
  readonly beat: number;
}

export interface FolderLock {
  release(): Promise<void>;
}

export interface FolderLockOptions {
  /** Called once, when somebody else holds the folder and this call starts to wait. */
  onWait(owner: string): void;
  readonly signal?: AbortSignal;
  /** Milliseconds; default: for ever. */
  readonly timeout?: number;
}

const BEAT = 2_000;
/** An owner on another host whose beat stands still for so long, by our own clock, is dead. */
const DEAD_AFTER = 20_000;

/**
 * One process at a time in a folder. Survives what plain lock files do not: the lock of a process that was killed is taken over at once, and
 * no decision compares clocks of two machines.
 *
 * @throws TrtorchError `cancelled` when the signal aborts, `artifact` when the time is up
 */
export async function lockFolder(directory: string, options: FolderLockOptions): Promise<FolderLock> {
  await mkdir(directory, { recursive: true });
  const file = join(directory, LOCK_FILE);
  const me: Owner = { id: randomUUID(), host: hostname(), pid: process.pid, start: startOf(process.pid), beat: 0 };
  const deadline = options.timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.timeout;
  let seen: { id: string; beat: number; since: number } | null = null;
  let announced = false;

  for (;;) {
    const holder = await guarded(directory, async () => {
      const owner = await readOwner(file);
      if (owner !== null && !isDead(owner)) return owner;
      await writeFileAtomic(file, JSON.stringify(me));
      return null;
    });
    if (holder === null) break;
    if (!announced) options.onWait(`process ${holder.pid} on ${holder.host}`);
    announced = true;
    if (performance.now() > deadline) {
      throw new TrtorchError("artifact", `another run holds ${directory}: process ${holder.pid} on ${holder.host}`, {
        hint: "wait for it, or give this run another out_dir",
      });
    }
    await sleep(200, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(() => {
      throw new TrtorchError("cancelled", "cancelled while waiting for another run");
    });
  }

  let beat = 0;
  let beating: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // A missed beat does no harm: others wait for many.
    beating = beating.then(() => writeFileAtomic(file, JSON.stringify({ ...me, beat: ++beat }))).catch(() => {});
  }, BEAT);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      await beating;
      await guarded(directory, async () => {
        if ((await readOwner(file))?.id === me.id) await rm(file, { force: true });
      });
    },
  };

  function isDead(owner: Owner): boolean {
    if (owner.host === me.host) return startOf(owner.pid) !== owner.start;
    if (seen === null || seen.id !== owner.id || seen.beat !== owner.beat) {
      seen = { id: owner.id, beat: owner.beat, since: performance.now() };
      return false;
    }
    return performance.now() - seen.since > DEAD_AFTER;
  }
}

/** Looking at the lock and changing it is one step: nobody else does so meanwhile. */
async function guarded<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const release = await lock(directory, {
    lockfilePath: join(directory, "lock.guard"),
    realpath: false,
    stale: 2_000,
    retries: { retries: 400, minTimeout: 5, maxTimeout: 50 },
  });
  try {
    return await action();
  } finally {
    // The folder may be gone by now, and the guard with it.
    await release().catch(() => {});
  }
}

async function readOwner(file: string): Promise<Owner | null> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Owner;
  } catch (error) {
    if (isErrno(error, "ENOENT") || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Empty where there is no such process. */
function startOf(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the program's name, may hold spaces and parentheses; the 22nd is the start time.
    const [state, ...rest] = fields.slice(fields.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? "" : (rest[18] ?? "");
  } catch {
    try {
      process.kill(pid, 0);
      return "alive";
    } catch (error) {
      return isErrno(error, "EPERM") ? "alive" : "";
    }
  }
}
