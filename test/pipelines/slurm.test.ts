import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { availableParallelism, hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import {
  buildWhole,
  findTool,
  linkPackage,
  manifestOf,
  missing,
  PIPELINES,
  sh,
  succeeded,
  writeModels,
} from "./workspace.js";

const skip =
  missing("slurmctld", "slurmd", "sbatch", "munged") ||
  (process.getuid?.() === 0 ? false : "Slurm's daemons are started as root");

/** A Slurm of one node, with ports and folders of its own, until the function returned is called. */
async function startSlurm(): Promise<{ env: Record<string, string>; stop: () => Promise<void> }> {
  // Sockets' paths must be short, and the files outlive no test.
  const folder = mkdtempSync(join(tmpdir(), "slurm-"));
  const [controller, node] = [await freePort(), await freePort()];
  const name = hostname().split(".")[0];
  const conf = join(folder, "slurm.conf");
  const keyFile = join(folder, "munge.key");
  writeFileSync(keyFile, Buffer.alloc(1024, "not a secret: it lives as long as a test "));
  chmodSync(keyFile, 0o400);
  const socket = join(folder, "munge.socket");
  writeFileSync(
    conf,
    [
      "ClusterName=test",
      `SlurmctldHost=${name}(127.0.0.1)`,
      "SlurmUser=root",
      "SlurmdUser=root",
      "AuthType=auth/munge",
      `AuthInfo=socket=${socket}`,
      "CredType=cred/munge",
      `SlurmctldPort=${controller}`,
      `SlurmdPort=${node}`,
      `StateSaveLocation=${join(folder, "state")}`,
      `SlurmdSpoolDir=${join(folder, "spool")}`,
      `SlurmctldPidFile=${join(folder, "slurmctld.pid")}`,
      `SlurmdPidFile=${join(folder, "slurmd.pid")}`,
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "SelectType=select/cons_tres",
      "MpiDefault=none",
      "ReturnToService=2",
      "SchedulerParameters=sched_interval=1",
      `NodeName=${name} NodeAddr=127.0.0.1 CPUs=${availableParallelism()} State=UNKNOWN`,
      `PartitionName=test Nodes=${name} Default=YES MaxTime=INFINITE State=UP`,
      "",
    ].join("\n"),
  );
  for (const sub of ["state", "spool"]) mkdirSync(join(folder, sub));
  const env = { SLURM_CONF: conf, PATH: `/usr/sbin:${process.env.PATH ?? ""}` };
  const files = ["pid", "log", "seed"].map((kind) => `--${kind}-file=${join(folder, `munge.${kind}`)}`);
  const daemons = [
    ["munged", "--foreground", "--force", `--socket=${socket}`, `--key-file=${keyFile}`, ...files],
    ["slurmctld", "-D"],
    ["slurmd", "-D", "-N", name as string],
  ].map(([command, ...args]) =>
    spawn(findTool(command as string) as string, args, { env: { ...process.env, ...env }, stdio: "ignore" }),
  );
  const stop = async () => {
    for (const daemon of daemons.toReversed()) {
      if (daemon.exitCode !== null) continue;
      const ended = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await Promise.race([ended, sleep(5000).then(() => daemon.kill("SIGKILL"))]);
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const start = Date.now();
  while (!sh(folder, "sinfo -h -o %t", env).stdout.startsWith("idle")) {
    if (Date.now() - start > 120_000) {
      await stop();
      throw new Error("Slurm did not start");
    }
    await sleep(200);
  }
  return { env, stop };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

t.test("a Slurm array of 4 shards ends with the manifest of an unsharded build", { skip }, async (t) => {
  const root = t.testdir({ whole: {}, cluster: {} });
  const whole = buildWhole(join(root, "whole"));
  const project = join(root, "cluster");
  writeModels(project);
  linkPackage(project);
  cpSync(join(PIPELINES, "slurm"), project, { recursive: true });

  const { env, stop } = await startSlurm();
  t.teardown(stop);
  const submitted = sh(project, "./submit.sh 4", env);
  succeeded(t, "submit.sh", submitted);
  const merge = submitted.stdout.trim();
  t.match(merge, /^\d+$/);

  const start = Date.now();
  const stateOf = (job: string) => /JobState=(\w+)/.exec(sh(project, `scontrol show job ${job}`, env).stdout)?.[1];
  while (!/COMPLETED|FAILED|CANCELLED|TIMEOUT/.test(stateOf(merge) ?? "") && Date.now() - start < 600_000)
    await sleep(500);
  const logs = readdirSync(project).filter((file) => file.endsWith(".log"));
  if (stateOf(merge) !== "COMPLETED") {
    t.comment(spawnSync("scontrol", ["show", "job"], { env: { ...process.env, ...env }, encoding: "utf8" }).stdout);
    for (const log of logs) t.comment(`${log}\n${readFileSync(join(project, log), "utf8")}`);
  }
  t.equal(stateOf(merge), "COMPLETED");
  t.equal(logs.length, 5, "a log a task, and the merge's");
  t.same(readdirSync(join(project, "shards")).sort(), ["1", "2", "3", "4"]);
  t.same(manifestOf(join(project, "engines")), whole);
  t.ok(existsSync(join(project, "engines/report.html")));
  t.match(readFileSync(join(project, "engines/report.html"), "utf8"), "4/4: cpu 1", "a timeline of all shards");
});
