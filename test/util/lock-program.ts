import { openSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { takeLock } from "../../src/util/lock.js";

// Takes a lock so many times, on a machine whose clock is wrong by so many milliseconds, and watches that nobody else has it.
// `hold`: says that it has it, and keeps it.

const [path, inside, rounds, skew] = process.argv.slice(2) as [string, string, string, string];
const { now } = Date;
Date.now = () => now() + Number(skew);

for (let round = 0; round < Number(rounds); round++) {
  const lock = await takeLock(path);
  openSync(inside, "wx");
  await sleep(2);
  rmSync(inside);
  await lock.release();
}
if (rounds === "hold") {
  await takeLock(path);
  console.log("held");
  setInterval(() => {}, 1_000);
}
