import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  buildWhole,
  linkPackage,
  linkTool,
  manifestOf,
  missing,
  PIPELINES,
  sh,
  succeeded,
  writeModels,
} from "./workspace.js";

/** Without a daemon, and with a cache that lives as long as the test. */
function environment(root: string): Record<string, string> {
  return {
    CI: "1",
    DO_NOT_TRACK: "1",
    NX_DAEMON: "false",
    NX_TUI: "false",
    // Nx keeps its cache outside of a workspace that it takes for a worktree's.
    NX_CACHE_DIRECTORY: join(root, "nx-cache"),
    NX_WORKSPACE_DATA_DIRECTORY: join(root, "nx-data"),
  };
}

for (const name of ["turborepo", "nx"] as const) {
  const tool = name === "nx" ? "nx" : "turbo";
  t.test(`${name}: the second run is all cache hits`, { skip: missing(tool) }, async (t) => {
    const root = t.testdir({ whole: {}, workspace: {} });
    const whole = buildWhole(join(root, "whole"));
    const workspace = join(root, "workspace");
    cpSync(join(PIPELINES, name), workspace, { recursive: true });
    writeModels(join(workspace, "packages/models"));
    linkPackage(workspace);
    linkTool(workspace, tool);
    const run = () => {
      const result = sh(workspace, "npm run engines", environment(root));
      succeeded(t, "npm run engines", result);
      return result.stdout + result.stderr;
    };
    const hits = (output: string) =>
      name === "nx"
        ? /read the output from the cache instead of running the command for (\d+)/.exec(output)
        : /Cached: +(\d+) cached, 3 total/.exec(output);
    t.equal(hits(run())?.[1] ?? "0", "0");
    t.same(manifestOf(join(workspace, "packages/models/engines")), whole);
    t.equal(hits(run())?.[1], "3");
  });
}

for (const tool of ["turbo", "nx"] as const) {
  t.test(`${tool}: a package that init adds is built once`, { skip: missing(tool) }, async (t) => {
    const root = t.testdir({ workspace: {} });
    const workspace = join(root, "workspace");
    const files = {
      "package.json": { private: true, packageManager: "npm@11.0.0", workspaces: ["packages/*"] },
      "turbo.json": { tasks: { engines: {} } },
      "nx.json": { analytics: false, neverConnectToCloud: true },
    };
    for (const [file, content] of Object.entries(files)) writeFileSync(join(workspace, file), JSON.stringify(content));
    rmSync(join(workspace, tool === "nx" ? "turbo.json" : "nx.json"));
    linkPackage(workspace);
    linkTool(workspace, tool);
    succeeded(t, "init", sh(workspace, "node_modules/.bin/trtorch-build init --template monorepo"));
    writeModels(join(workspace, "packages/tensorrt"));
    const command = tool === "nx" ? "nx run tensorrt:engines" : "turbo run engines";
    const run = () => {
      const result = sh(workspace, `node_modules/.bin/${command}`, environment(root));
      succeeded(t, command, result);
      return result.stdout;
    };
    t.match(run(), /6 jobs: 6 built/);
    t.match(run(), tool === "nx" ? /for 1 out of 1 task/ : /Cached: +1 cached, 1 total/);
  });
}
