import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { fencedBlocks, fileNameOf, matches, settle } from "./blocks.js";

// Every block of docs/getting-started.md, in order, in a folder that has this package installed. What is printed is compared with
// the page. PyTorch makes the models where TRTORCH_TEST_PYTHON names a Python that has it (2.11, as on the page); otherwise the
// files that the page's own Python blocks made, kept in test/fixtures/docs, stand in.

const root = fileURLToPath(new URL("../../", import.meta.url));
const fixtures = fileURLToPath(new URL("../fixtures/docs/", import.meta.url));
const python = process.env.TRTORCH_TEST_PYTHON;

/** What the page's Python files write. */
const MADE_BY: Readonly<Record<string, readonly string[]>> = {
  "lenet.py": ["lenet.traced.ts", "lenet.scripted.ts", "lenet.io.npz"],
  "export.py": ["lenet.pt2"],
};

const project = realpathSync(mkdtempSync(join(tmpdir(), "trtorch-docs-")));
t.teardown(() => rmSync(project, { recursive: true }));
const env = installed(project);

let output = "";
for (const block of fencedBlocks(readFileSync(join(root, "docs", "getting-started.md"), "utf8"))) {
  const what = `line ${block.line}, ${block.language}`;
  const file = fileNameOf(block);
  if (file !== null) {
    mkdirSync(dirname(join(project, file)), { recursive: true });
    writeFileSync(join(project, file), block.content);
  }
  if (block.language === "python") {
    if (python !== undefined) execFileSync(python, [file as string], { cwd: project, env });
    else for (const made of MADE_BY[file as string] ?? []) copyFileSync(join(fixtures, made), join(project, made));
    t.pass(`${what}: ${file}`);
  } else if (block.language === "bash") {
    const run = spawnSync("bash", ["-eo", "pipefail", "-c", `exec 2>&1\n${block.content}`], {
      cwd: project,
      env,
      encoding: "utf8",
    });
    output = run.stdout.replaceAll(`${project}/`, "");
    const expected = Number(/^exit=(\d+)$/.exec(block.info)?.[1] ?? 0);
    t.equal(run.status, expected, `${what}: exit code${run.status === expected ? "" : `\n${output}`}`);
  } else if (block.language === "text") {
    t.ok(matches(output, block.content), what, { found: settle(output), wanted: settle(block.content) });
  } else {
    t.ok(file, `${what}: names its file`);
  }
}

t.test("the page's TypeScript has no type errors", async (t) => {
  const files = fencedBlocks(readFileSync(join(root, "docs", "getting-started.md"), "utf8"))
    .filter(({ language }) => language === "ts")
    .map((block) => fileNameOf(block) as string);
  const options = ["--noEmit", "--strict", "--target", "es2023", "--module", "nodenext", "--skipLibCheck"];
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules", "@types")];
  // The compiler itself: its launcher is a Node script, which the test runner's hooks would enter and break.
  const compiler = join(
    root,
    "node_modules",
    "@typescript",
    `typescript-${process.platform}-${process.arch}`,
    "lib",
    "tsc",
  );
  const run = spawnSync(compiler, [...options, ...types, ...files], { cwd: project, encoding: "utf8" });
  t.equal(run.stdout + run.stderr, "");
  t.equal(run.status, 0);
});

/** A folder where the packages are, an `npm install` that finds them so, and npm's own other commands. */
function installed(folder: string): NodeJS.ProcessEnv {
  const bin = join(folder, "node_modules", ".bin");
  mkdirSync(bin, { recursive: true });
  symlinkSync(root, join(folder, "node_modules", "trtorch-build"));
  symlinkSync(join(root, "bin", "trtorch-build.js"), join(bin, "trtorch-build"));
  symlinkSync(join(root, "node_modules", "tsx"), join(folder, "node_modules", "tsx"));
  symlinkSync(join(root, "node_modules", "tsx", "dist", "cli.mjs"), join(bin, "tsx"));
  const commands = join(folder, "commands");
  mkdirSync(commands);
  writeFileSync(join(commands, "npm"), `#!/bin/sh\n[ "$1" = install ] || PATH="${process.env.PATH}" exec npm "$@"\n`);
  chmodSync(join(commands, "npm"), 0o755);
  return {
    ...process.env,
    PATH: `${commands}:${process.env.PATH}`,
    CI: "1",
    GITHUB_ACTIONS: "",
    NODE_OPTIONS: "",
    TAP: "",
    FORCE_COLOR: "0",
  };
}
