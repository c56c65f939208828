import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { findLibrary } from "../../src/backends/tensorrt/index.js";
import { cacheFolder } from "../../src/util/native-addon.js";
import { readJson, tree } from "../cli/project.js";

// What `npm pack` makes, installed in another folder: its command compiles the addon there and builds an engine.

const root = fileURLToPath(new URL("../../", import.meta.url));
const lenet = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));

const folder = realpathSync(mkdtempSync(join(tmpdir(), "trtorch-pack-")));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const [packed, project, cache] = ["packed", "project", "cache"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
for (const made of [packed, project, cache]) mkdirSync(made);

function run(cwd: string, program: string, ...args: string[]) {
  // A cache of its own, so that the addon of this very package is compiled and nobody's is replaced.
  const env = { ...process.env, NODE_OPTIONS: "", GITHUB_ACTIONS: "", TRTORCH_CACHE: cache };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8" });
  return { code: status, stdout, stderr };
}

/** Why the package cannot be tried here, if so. */
function obstacle(): string | false {
  try {
    findLibrary("rtx");
  } catch {
    return "TensorRT-RTX is not here";
  }
  return false;
}

/** TensorRT-RTX and its headers as `setup` fetched them before. */
function bringFetched(): void {
  for (const name of readdirSync(cacheFolder())) {
    if (/^(tensorrt|headers)-rtx-[\w.+]+$/.test(name)) symlinkSync(join(cacheFolder(), name), join(cache, name));
  }
}

t.test("the packed package, installed in another folder", { skip: obstacle() }, async (t) => {
  // Without scripts: what is compiled is packed, and other tests that run it meanwhile are left in peace.
  const pack = run(root, "npm", "pack", "--ignore-scripts", "--pack-destination", packed);
  t.equal(pack.code, 0, `npm pack ${pack.code === 0 ? "" : pack.stderr}`);
  const [tarball] = readdirSync(packed) as [string];

  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  const offline = ["--prefer-offline", "--fetch-retries=0", "--fetch-timeout=30000"];
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
  const install = run(project, "npm", "install", ...quiet, ...offline, join(packed, tarball));
  const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT/;
  if (unreachable.test(install.stderr)) {
    t.pass("npm install", { skip: "the package registry is out of reach" });
    return;
  }
  t.equal(install.code, 0, `npm install ${install.code === 0 ? "" : install.stderr}`);

  writeFileSync(
    join(project, "library.js"),
    'import { load } from "trtorch-build";\nconsole.log(load("lenet.ts").methods.join());\n',
  );
  copyFileSync(lenet, join(project, "lenet.ts"));
  t.same(run(project, "node", "library.js"), { code: 0, stdout: "forward\n", stderr: "" }, "the library");

  bringFetched();
  const trtorch = (...args: string[]) => run(project, "npx", "--no-install", "trtorch-build", ...args);
  const setup = trtorch("setup");
  t.equal(setup.code, 0, `setup ${setup.code === 0 ? "" : setup.stderr}`);
  t.ok(
    tree(cache).some((file) => /^native-[^/]+\/Release\/trtorch_core\.node$/.test(file)),
    "the addon is in the cache, not in node_modules",
  );

  const build = trtorch("build", "lenet.ts", "--input", "x=1x1x32x32", "--target", "sm_89");
  t.equal(build.code, 0, `build ${build.code === 0 ? "" : build.stdout + build.stderr}`);
  t.match(build.stdout, /^1 job: 1 built in /m);
  t.match(readJson(project, "engines/summary.json"), { jobs: [{ status: "built" }] });
  t.ok(tree(join(project, "engines")).includes("lenet/fp32-sm_89/model.engine"));
});
