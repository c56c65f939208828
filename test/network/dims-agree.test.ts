import t from "tap";
import { buildEngine, describeNetwork } from "../../src/backends/tensorrt/index.js";
import { setup } from "../../src/backends/tensorrt/setup.js";
import type { LayerType } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { toDims } from "../../src/network/symbolic.js";
import { cases, DYNAMIC } from "./layer-cases.js";

// Our own inference of types and dims, held against what TensorRT-RTX answers for the same network, and the engine
// built: what the library refuses, inference must not promise.

// test/gpu/layers.ts does the same with the full TensorRT on a GPU.
await setup({ flavours: ["rtx"] });
const request = { flavour: "rtx", targets: ["sm_89"] } as const;

for (const { name, build, builds = true } of cases) {
  for (const batch of [2, DYNAMIC] as const) {
    t.test(`${name}, ${batch === 2 ? "static" : "dynamic"}`, async (t) => {
      const network = new Network();
      for (const [i, tensor] of build(network, batch).entries()) network.markOutput(tensor, `out${i}`);
      for (const { tensor, type, dims } of await describeNetwork(network, request)) {
        const by = tensor.producer?.type ?? "input";
        t.same([type, ...dims], [tensor.type, ...toDims(tensor.dims)], `${tensor.name} (${by})`);
      }
      const building = buildEngine(network, request);
      if (builds) t.ok((await building).engine.length > 1000, "the engine builds");
      else await t.rejects(building, { code: "library", message: /could not build the engine/ });
    });
  }
}

t.test("every layer type is covered", async (t) => {
  const all = new Set<LayerType>(cases.flatMap(({ covers }) => covers));
  // Kept in step with LayerAttributes by the type of the list below.
  const types: Record<LayerType, true> = {
    kCONVOLUTION: true,
    kDECONVOLUTION: true,
    kCAST: true,
    kIDENTITY: true,
    kACTIVATION: true,
    kPOOLING: true,
    kSOFTMAX: true,
    kCONCATENATION: true,
    kELEMENTWISE: true,
    kUNARY: true,
    kSHUFFLE: true,
    kREDUCE: true,
    kTOPK: true,
    kGATHER: true,
    kMATRIX_MULTIPLY: true,
    kCONSTANT: true,
    kSLICE: true,
    kSHAPE: true,
    kPARAMETRIC_RELU: true,
    kRESIZE: true,
    kSELECT: true,
    kFILL: true,
    kQUANTIZE: true,
    kDEQUANTIZE: true,
    kSCATTER: true,
    kEINSUM: true,
    kONE_HOT: true,
    kNON_ZERO: true,
    kGRID_SAMPLE: true,
    kNMS: true,
    kNORMALIZATION: true,
    kCUMULATIVE: true,
    kATTENTION: true,
    kCONDITION: true,
    kCONDITIONAL_INPUT: true,
    kCONDITIONAL_OUTPUT: true,
    kTRIP_LIMIT: true,
    kRECURRENCE: true,
    kITERATOR: true,
    kLOOP_OUTPUT: true,
  };
  t.same(
    Object.keys(types).filter((type) => !all.has(type as LayerType)),
    [],
  );
});
