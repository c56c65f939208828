import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { allNodes } from "../../src/ir/graph.js";
import { operatorName } from "../../src/ir/schema.js";
import { loadTorchScript } from "../../src/torchscript/index.js";

const python = process.env.TRTORCH_TEST_PYTHON;
const fixtures = new URL("../fixtures/", import.meta.url);
const folders = ["lenet", "squeezenet1_1", "bert_tiny", "torchscript_forms"].map(
  (name) => new URL(`models/${name}/`, fixtures),
);

t.test(
  "every method of every archive has the operators that torch.jit.load gives it, in their order",
  { skip: python === undefined && "TRTORCH_TEST_PYTHON names no Python with PyTorch" },
  async (t) => {
    const files = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((file) => file.endsWith(".ts"))
        .map((file) => fileURLToPath(new URL(file, folder))),
    );
    const script = fileURLToPath(new URL("dump-torchscript.py", fixtures));
    const output = execFileSync(python as string, [script, ...files], { encoding: "utf8", maxBuffer: 2 ** 28 });
    const expected = JSON.parse(output) as Record<string, Record<string, string[]> | null>;
    let compared = 0;
    for (const [file, methods] of Object.entries(expected)) {
      // PyTorch cannot read an attribute called `class`, and leaves forked functions beside the graph.
      if (methods === null || file.includes("fork_wait")) continue;
      const program = loadTorchScript(file);
      for (const [method, theirs] of Object.entries(methods)) {
        const dot = method.lastIndexOf(".");
        const graph = program.method(method.slice(0, dot), method.slice(dot + 1));
        const ours = [...allNodes(graph.block)]
          .filter((node) => node.kind !== "prim::Constant")
          .map((node) => {
            const { schema } = node;
            return schema === undefined || node.kind.startsWith("prim::") ? node.kind : operatorName(schema);
          });
        t.strictSame(ours, theirs, `${file.split("/").slice(-2).join("/")} ${method}`);
        compared++;
      }
    }
    t.ok(compared > 150, `${compared} methods`);
  },
);
