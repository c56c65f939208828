/** Milliseconds, and executions a second. */
export interface Latency {
  readonly iterations: number;
  readonly mean: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  /** Executions a second, one after the other. */
  readonly throughput: number;
}

/** What the times of single executions, at least one, come to. Percentiles are times that occurred (nearest rank). */
export function summarizeTimes(times: Float32Array): Latency {
  const sorted = times.toSorted();
  const at = (percent: number): number => sorted[Math.max(Math.ceil((percent / 100) * sorted.length) - 1, 0)] as number;
  const mean = sorted.reduce((sum, time) => sum + time, 0) / sorted.length;
  return {
    iterations: sorted.length,
    mean,
    min: at(0),
    p50: at(50),
    p90: at(90),
    p95: at(95),
    p99: at(99),
    max: at(100),
    throughput: 1000 / mean,
  };
}
