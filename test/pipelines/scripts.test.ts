import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parse, parseAllDocuments } from "yaml";
import {
  buildWhole,
  JOBS,
  linkPackage,
  manifestOf,
  missing,
  PIPELINES,
  sh,
  succeeded,
  writeModels,
} from "./workspace.js";

const skip = missing();

t.test("what a Kubernetes Indexed Job's pods run ends with the manifest of an unsharded build", { skip }, async (t) => {
  interface Pod {
    spec: { containers: { command: string[]; args: string[]; env: { name: string; value?: string }[] }[] };
  }
  const load = (file: string) =>
    parseAllDocuments(readFileSync(join(PIPELINES, "kubernetes", file), "utf8")).map(
      (document) => document.toJS() as { kind: string; spec: { completions?: number; template: Pod } },
    );
  const root = t.testdir({ whole: {}, pods: {}, shared: {} });
  const whole = buildWhole(join(root, "whole"));
  const project = join(root, "pods");
  writeModels(project);
  linkPackage(project);
  const runPod = (job: { spec: { template: Pod } } | undefined, index: number) => {
    const container = job?.spec.template.spec.containers[0];
    t.same(container?.command, ["sh", "-c"]);
    // What has no value is a number of the pod's own.
    const env = Object.fromEntries((container?.env ?? []).map(({ name, value = "2" }) => [name, value]));
    const shared = join(root, "shared");
    const result = sh(project, container?.args[0] as string, {
      ...env,
      SHARED: shared,
      ...(env.TRTORCH_BUILD_STORE !== undefined && { TRTORCH_BUILD_STORE: join(shared, "store") }),
      JOB_COMPLETION_INDEX: String(index),
    });
    succeeded(t, `pod ${index}`, result);
  };
  const build = load("build-job.yaml").find(({ kind }) => kind === "Job");
  t.equal(
    build?.spec.template.spec.containers[0]?.env.find(({ name }) => name === "SHARDS")?.value,
    String(build?.spec.completions),
  );
  for (let index = 0; index < (build?.spec.completions as number); index++) runPod(build, index);
  runPod(load("merge-job.yaml")[0], 0);
  t.same(manifestOf(join(root, "shared/engines")), whole);
  t.ok(readdirSync(join(root, "shared/store/entries")).length >= JOBS.length, "the store was shared");
});

t.test("what GitLab's jobs run ends with the manifest of an unsharded build", { skip }, async (t) => {
  const root = t.testdir({ whole: {}, runner: {} });
  const whole = buildWhole(join(root, "whole"));
  const project = join(root, "runner");
  writeModels(project);
  linkPackage(project);
  const pipeline = parse(readFileSync(join(PIPELINES, "gitlab/.gitlab-ci.yml"), "utf8")) as Record<
    string,
    { script: string[]; parallel?: number }
  >;
  const run = (name: string, env: Record<string, string>) => {
    succeeded(t, name, sh(project, `set -e\n${pipeline[name]?.script.join("\n")}`, env));
  };
  // Getting TensorRT-RTX is for the runner; these models need none.
  const shard = pipeline["engines:shard"] as { script: string[]; parallel: number };
  shard.script = shard.script.filter((line) => !line.endsWith("trtorch-build setup"));
  for (let index = 1; index <= shard.parallel; index++) {
    run("engines:shard", { CI_NODE_INDEX: String(index), CI_NODE_TOTAL: String(shard.parallel) });
  }
  run("engines", {});
  t.same(manifestOf(join(project, "engines")), whole);
  t.equal(readdirSync(project).filter((file) => /^junit-\d\.xml$/.test(file)).length, shard.parallel);
});
