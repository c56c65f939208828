import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { summarizeTimes } from "../../src/worker/latency.js";
import { FakeMachine } from "./fake-engine.js";
import { trtorch } from "./project.js";

const MODEL = fileURLToPath(new URL("../fixtures/models/lenet/export.pt2", import.meta.url));

t.test("the CPU reference", async (t) => {
  const root = t.testdir({});
  copyFileSync(MODEL, join(root, "export.pt2"));
  const json = await trtorch(root, [
    "bench",
    "export.pt2",
    "--shape",
    "min",
    "--iterations",
    "20",
    "--warmup",
    "2",
    "--json",
  ]);
  t.equal(json.code, 0, json.stderr);
  const result = JSON.parse(json.stdout);
  t.match(result, {
    target: "export.pt2",
    place: "fp32 in onnxruntime on the CPU",
    inputs: [{ name: "x", dims: [1, 1, 32, 32] }],
    warmup: 2,
    clock: "host",
    graph: false,
    iterations: 20,
  });
  const order = ["min", "p50", "p90", "p95", "p99", "max"].map((key) => result[key]);
  t.ok(order[0] > 0);
  t.same(
    order,
    order.toSorted((a, b) => a - b),
  );
  t.ok(Math.abs(result.throughput * result.mean - 1000) < 1e-6);
  const text = await trtorch(root, ["bench", "export.pt2", "--iterations", "3"]);
  t.match(
    text.stdout,
    /\n3 executions after 10 to warm up, by the host's clock\n {2}mean +[\d.]+ ms\n[\s\S]*\n {2}throughput +.* executions a second\n$/,
  );
  t.match(await trtorch(root, ["bench", "export.pt2", "--graph"]), { code: 2, stderr: /--graph is for engines/ });
  t.equal((await trtorch(root, ["bench", "export.pt2", "--iterations", "0"])).code, 2);
});

t.test("an engine: the fake GPU takes a quarter of a millisecond", async (t) => {
  const machine = await FakeMachine.make(t.testdir({}));
  const ran = await machine.run("bench", "double.engine", "--iterations", "50", "--graph", "--json");
  t.equal(ran.code, 0, ran.stderr);
  const quarter = { mean: 0.25, min: 0.25, p50: 0.25, p90: 0.25, p95: 0.25, p99: 0.25, max: 0.25 };
  t.match(JSON.parse(ran.stdout), { ...quarter, throughput: 4000, iterations: 50, clock: "CUDA events", graph: true });
  const text = await machine.run("bench", "double.engine", "--graph");
  t.match(text.stdout, /\n100 executions after 10 to warm up, as a CUDA graph, between CUDA events; /);
});

t.test("percentiles are times that occurred", async (t) => {
  const times = Float32Array.from({ length: 200 }, (_, i) => 200 - i);
  t.same(summarizeTimes(times), {
    iterations: 200,
    mean: 100.5,
    min: 1,
    p50: 100,
    p90: 180,
    p95: 190,
    p99: 198,
    max: 200,
    throughput: 1000 / 100.5,
  });
  t.match(summarizeTimes(Float32Array.of(2)), { min: 2, p50: 2, p99: 2, max: 2, throughput: 500 });
});
