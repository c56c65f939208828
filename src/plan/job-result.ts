import { z } from "zod";

/** What readers rely on in an `ArtifactFile` that was written earlier, perhaps elsewhere. */
export const ARTIFACT_FILE = z.looseObject({
  kind: z.string(),
  path: z.string(),
  size: z.number(),
  sha256: z.string(),
});

/** As {@link ARTIFACT_FILE}, in an `OutputComparison`. */
export const OUTPUT_COMPARISON = z.looseObject({
  output: z.string(),
  dims: z.array(z.number()),
  histogram: z.array(z.looseObject({ count: z.number() })),
  passed: z.boolean(),
});

/** As {@link ARTIFACT_FILE}, in a `JobResult`. */
export const JOB_RESULT = z.looseObject({
  artifacts: z.array(ARTIFACT_FILE),
  networkKey: z.string(),
  engineReused: z.boolean(),
  summary: z.looseObject({ operators: z.number(), layers: z.number(), unsupported: z.array(z.string()) }),
  comparison: z.array(OUTPUT_COMPARISON).nullable(),
  latencyMs: z.number().nullable(),
  durations: z.record(z.string(), z.number()),
});
