import { fileURLToPath } from "node:url";
import t from "tap";
import { buildEngine } from "../../src/backends/tensorrt/index.js";
import { type CompileOptions, checkMethodOperatorSupport, load } from "../../src/index.js";
import { Network } from "../../src/network/network.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));
const inputs = [[1, 1, 32, 32]];

/** As JavaScript may hand them over. */
function options(given: Record<string, string>): CompileOptions {
  return { inputs, ...given } as CompileOptions;
}

t.test("options of the library that TypeScript would not let through say what they may be", async (t) => {
  const model = load(LENET);
  await t.rejects(model.network(options({ precision: "half" })), {
    code: "usage",
    message: 'precision is "half"',
    hint: "It is one of fp32, fp16, bf16.",
  });
  const backend = { code: "usage", message: 'backend is "tensorrt_rtx"' };
  await t.rejects(model.network(options({ backend: "tensorrt_rtx" })), backend);
  await t.rejects(checkMethodOperatorSupport(model, "forward", options({ backend: "tensorrt_rtx" })), backend);
  const verbosity = { flavour: "rtx", options: { profilingVerbosity: "all" } } as unknown as Parameters<
    typeof buildEngine
  >[1];
  await t.rejects(buildEngine(new Network(), verbosity), { code: "usage", message: 'profilingVerbosity is "all"' });
});
