import { cpSync } from "node:fs";
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

t.setTimeout(120_000);

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
    const env = {
      CI: "1",
      DO_NOT_TRACK: "1",
      NX_DAEMON: "false",
      NX_TUI: "false",
      // Nx keeps its cache outside of a workspace that it takes for a worktree's.
      NX_CACHE_DIRECTORY: join(root, "nx-cache"),
      NX_WORKSPACE_DATA_DIRECTORY: join(root, "nx-data"),
    };
    const run = () => {
      const result = sh(workspace, "npm run engines", env);
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
