import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { takeLock } from "../../src/util/lock.js";

const PROGRAM = fileURLToPath(new URL("./lock-program.ts", import.meta.url));
const TSX = import.meta.resolve("tsx");

function program(...args: readonly string[]) {
  return spawn(process.execPath, ["--import", TSX, PROGRAM, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Tries for as long as it takes to look a few times, and gives what it was told. */
async function tries(path: string, deadAfter: number): Promise<string> {
  const controller = new AbortController();
  try {
    const lock = await takeLock(path, {
      signal: controller.signal,
      deadAfter,
      onWait: () => setTimeout(() => controller.abort(), 500),
    });
    await lock.release();
    return "taken";
  } catch (error) {
    return (error as Error).message;
  }
}

const WAITED = "cancelled while waiting for another run";

t.test("processes with clocks an hour apart: one at a time, and nothing is left", async (t) => {
  const root = t.testdir({});
  const path = join(root, "state/.lock");
  const programs = ["0", "3600000", "-3600000", "5000"].map((skew) => program(path, join(root, "inside"), "25", skew));
  const codes = await Promise.all(programs.map(async (child) => (await once(child, "close"))[0]));
  t.same(codes, [0, 0, 0, 0]);
  t.same(readdirSync(join(root, "state")), []);
});

t.test("a process that was killed has the lock no longer", async (t) => {
  const path = join(t.testdir({}), ".lock");
  const child = program(path, "", "hold", "0");
  await once(child.stdout, "data");
  t.equal(await tries(path, 0), WAITED, "however still it stands: it is there");
  child.kill("SIGKILL");
  await once(child, "close");
  t.equal(await tries(path, 1e9), "taken");
});

t.test("an owner elsewhere is judged by its beat, not by a pid that means another process here", async (t) => {
  const path = join(t.testdir({}), ".lock");
  const lock = await takeLock(path);
  const [name] = readdirSync(path) as [string];
  const owner = JSON.parse(readFileSync(join(path, name), "utf8")) as object;
  await lock.release();
  const write = (changes: object) => {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, name), JSON.stringify({ ...owner, ...changes }));
  };
  const space = "boot pid:[1]";
  for (const elsewhere of [{ space }, { space, pid: 2 ** 22 + 1 }]) {
    write(elsewhere);
    t.equal(await tries(path, 1e9), WAITED);
    t.equal(await tries(path, 0), "taken");
  }
  write({ start: "1" });
  t.equal(await tries(path, 1e9), "taken", "the pid belongs to a newer process");
  mkdirSync(path);
  writeFileSync(join(path, name), "");
  t.equal(await tries(path, 0), "taken", "a power failure left an empty file");
});

t.test("a lock that was lost is not taken from the next owner when it is given back", async (t) => {
  const path = join(t.testdir({}), ".lock");
  const first = await takeLock(path);
  const [name] = readdirSync(path) as [string];
  // As if this one had been suspended for long, and somebody elsewhere took it for dead.
  writeFileSync(join(path, name), "");
  const second = await takeLock(path, { deadAfter: 0 });
  await first.release();
  t.ok(existsSync(path));
  t.equal(await tries(path, 1e9), WAITED);
  await second.release();
  t.notOk(existsSync(path));
});

t.test("what cannot be locked, and a time that is up", async (t) => {
  const root = t.testdir({ file: "" });
  await t.rejects(takeLock(join(root, "file/.lock")), {
    code: "artifact",
    message: `cannot lock ${root}/file/.lock: a file is where a folder should be`,
  });
  const lock = await takeLock(join(root, ".lock"));
  await t.rejects(takeLock(join(root, ".lock"), { timeout: 0 }), {
    code: "artifact",
    message: new RegExp(`^process ${process.pid} on .* holds ${root}/\\.lock$`),
  });
  await lock.release();
});
