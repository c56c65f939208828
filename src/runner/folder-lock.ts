import { join } from "node:path";
import { LOCK } from "../plan/freshness.js";
import { type Lock, type LockOptions, takeLock } from "../util/lock.js";

/** One run at a time in an output folder, by the folder of its state. */
export async function lockFolder(state: string, options: LockOptions): Promise<Lock> {
  return takeLock(join(state, LOCK), options);
}
