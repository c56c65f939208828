import assert from "node:assert/strict";
import { test } from "node:test";
import { convert, defaultRegistry, execute, parseIR, Tensor } from "trtorch-build";
import { scale } from "../converters/scale.ts";

// No model and no GPU: a few lines of IR, run by the CPU reference. Needs tsx and onnxruntime-node:
//   node --import tsx --test test/scale.test.ts
test("my_ops::scale", async () => {
  const ir = `
graph(%x : Tensor):
  %by : float = prim::Constant[value=2.5]()
  %y : Tensor = my_ops::scale(%x, %by)
  return (%y)`;
  // The operator is nobody's but yours: only its converter knows its schema.
  const graph = parseIR(ir, { schemas: () => [scale.schema] });
  const { network } = convert(graph, {
    inputs: [{ name: "x", dtype: "float32", dims: [{ min: 1, opt: 2, max: 4 }, 2] }],
    registry: defaultRegistry().register(scale),
    capabilities: { backend: "tensorrt-rtx", version: [1, 0] },
  });
  const { output_0 } = await execute(network, { x: Tensor.of("float32", [2, 2], [1, 2, 3, 4]) });
  assert.deepEqual(Array.from(output_0?.toNumbers() ?? []), [2.5, 5, 7.5, 10]);
});
