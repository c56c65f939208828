import { messageOf } from "./errors.js";
/** Does what only saves work for later: where it cannot, a warning says so, and nothing fails. */
export async function bestEffort(work: () => Promise<unknown>, warn: (message: string) => void): Promise<void> {
  try {
    await work();
  } catch (error) {
    warn(messageOf(error));
  }
}
