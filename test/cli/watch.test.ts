import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Finished, trtorch, write } from "./project.js";

/** A watch in this process. */
interface Watch {
  /** What it has said when it waits again and has said this; it may build more than once before. */
  said(what: RegExp): Promise<void>;
  stop(): Promise<Finished>;
}

function watch(root: string, args: readonly string[] = []): Watch {
  let output = "";
  let onWaiting = () => {};
  const stops: (() => void)[] = [];
  const finished = trtorch(root, ["watch", ...args], {
    stdout: (text) => {
      output += text;
    },
    stderr: (text) => {
      output += text;
      if (text === "waiting for changes\n") onWaiting();
    },
    onSignal: (handler) => {
      stops.push(handler);
      return () => stops.splice(stops.indexOf(handler), 1);
    },
  });
  return {
    said: (what) =>
      new Promise((resolve) => {
        onWaiting = () => {
          if (!what.test(output)) return;
          output = "";
          resolve();
        };
        if (output.endsWith("waiting for changes\n")) onWaiting();
      }),
    stop: () => {
      for (const stop of stops) stop();
      return finished;
    },
  };
}

/** Each step is noticed: without that, it would never be said what is to be. */
async function watched(
  t: Test,
  root: string,
  args: readonly string[],
  steps: readonly (readonly [change: () => void, said: RegExp])[],
): Promise<void> {
  const running = watch(root, args);
  for (const [change, said] of steps) {
    change();
    await running.said(said);
  }
  t.equal((await running.stop()).code, 0);
}

/** Before the first step it is waited until all is watched. */
const START = () => {};

const CONFIG = (source: string) =>
  `version: 1\nbackend: tensorrt-rtx\ntargets: [sm_86]\nmodels: [{ source: "${source}", inputs: [[1, 3]] }]\n`;

t.test("a new file of a glob, in a new folder too, and one that goes", async (t) => {
  const root = t.testdir({ models: { "a.ts": "a" } });
  write(root, { "trtorch.config.yaml": CONFIG("models/**/*.ts") });
  await watched(
    t,
    root,
    [],
    [
      [START, /1 job: 1 built/],
      [() => write(root, { "models/b.ts": "b" }), /2 jobs: 1 built, 1 fresh/],
      [() => mkdirSync(join(root, "models/deep")), /2 jobs: 2 fresh/],
      [() => write(root, { "models/deep/c.ts": "c" }), /3 jobs: 1 built, 2 fresh/],
      [() => rmSync(join(root, "models/a.ts")), /2 jobs: 2 fresh/],
    ],
  );
});

t.test("the target of a link", async (t) => {
  const root = t.testdir({ models: {}, real: { "a.ts": "a" } });
  symlinkSync("../real/a.ts", join(root, "models/a.ts"));
  write(root, { "trtorch.config.yaml": CONFIG("models/a.ts") });
  await watched(
    t,
    root,
    [],
    [
      [START, /1 job: 1 built/],
      [() => writeFileSync(join(root, "real/a.ts"), "changed"), /1 job: 1 built/],
    ],
  );
});

t.test("what is missing, until it is there", async (t) => {
  const root = t.testdir({});
  const missing = /error: there is no file models\/nope\.ts/;
  await watched(
    t,
    root,
    ["models/nope.ts", "--input", "1x3"],
    [
      [START, missing],
      [() => mkdirSync(join(root, "models")), missing],
      [() => writeFileSync(join(root, "models/nope.ts"), "a"), /1 job: 1 built/],
    ],
  );
});

t.test("a config that is put right; a command line that cannot be", async (t) => {
  const root = t.testdir({ "a.ts": "a", "trtorch.config.yml": "version: [" });
  await watched(
    t,
    root,
    [],
    [
      [START, /error: Flow sequence/],
      [() => writeFileSync(join(root, "trtorch.config.yml"), CONFIG("a.ts")), /1 job: 1 built/],
      [() => writeFileSync(join(root, "a.ts"), "changed"), /1 job: 1 built/],
    ],
  );
  t.match(await trtorch(root, ["watch", "a.ts", "--input", "1,3"]), { code: 2, stderr: /"1,3" is not a shape/ });
});
