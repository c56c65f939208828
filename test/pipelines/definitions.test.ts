import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { findTool, missing, PIPELINES, succeeded, TOOLS } from "./workspace.js";

/** Asserts that a tool finds nothing to say against files. */
function accepts(t: Test, name: string, args: readonly string[], cwd = PIPELINES): void {
  const path = `${join(TOOLS, "bin")}:${process.env.PATH ?? ""}`;
  const run = spawnSync(findTool(name) as string, args, { cwd, encoding: "utf8", env: { ...process.env, PATH: path } });
  succeeded(t, `${name} ${args.at(-1)}`, run);
}

t.test("GitHub: actionlint, with shellcheck where it is", { skip: missing("actionlint") }, async (t) => {
  // The workflows call each other and the action by their places in a repository.
  const root = t.testdir({ ".git": {}, ".github": { actions: { "trtorch-build": {} } } });
  const workflows = join(root, ".github/workflows");
  mkdirSync(workflows);
  for (const file of ["engines.yml", "nightly.yml"]) cpSync(join(PIPELINES, "github", file), join(workflows, file));
  cpSync(join(PIPELINES, "github/action.yml"), join(root, ".github/actions/trtorch-build/action.yml"));
  accepts(t, "actionlint", ["-no-color"], root);
});

t.test("GitHub and GitLab: the published schemas", { skip: missing("check-jsonschema") }, async (t) => {
  const schema = (name: string) => ["--builtin-schema", `vendor.${name}`];
  accepts(t, "check-jsonschema", [...schema("github-workflows"), "github/engines.yml", "github/nightly.yml"]);
  accepts(t, "check-jsonschema", [...schema("github-actions"), "github/action.yml"]);
  accepts(t, "check-jsonschema", [...schema("gitlab-ci"), "--data-transform", "gitlab-ci", "gitlab/.gitlab-ci.yml"]);
});

t.test("Kubernetes: its own schemas, nothing unknown", { skip: missing("kubernetes-validate") }, async (t) => {
  accepts(t, "kubernetes-validate", ["--strict", "kubernetes/build-job.yaml", "kubernetes/merge-job.yaml"]);
});

t.test(
  "Turborepo and Nx: the schemas that they come with",
  {
    skip: missing("check-jsonschema", "turbo", "nx"),
  },
  async (t) => {
    const against = (schema: string, file: string) =>
      accepts(t, "check-jsonschema", ["--schemafile", join(TOOLS, "node_modules", schema), file]);
    against("turbo/schema.json", "turborepo/turbo.json");
    against("nx/schemas/nx-schema.json", "nx/nx.json");
    against("nx/schemas/project-schema.json", "nx/packages/models/project.json");
  },
);

t.test("shell scripts: shellcheck", { skip: missing("shellcheck") }, async (t) => {
  accepts(t, "shellcheck", ["slurm/build-array.sh", "slurm/submit.sh"]);
});
