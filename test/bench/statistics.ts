export type Statistic = 'median' | 'p50' | 'p95' | 'p99';

const PERCENT: Readonly<Record<Statistic, number>> = { median: 50, p50: 50, p95: 95, p99: 99 };

export function statisticOf(values: readonly number[], statistic: Statistic): number {
  return percentile(values, PERCENT[statistic]);
}

/** The nearest rank: the smallest value that at least so many percent of all do not exceed. Never one that was not measured. */
export function percentile(values: readonly number[], percent: number): number {
  if (values.length === 0) throw new Error('no values, no percentile');
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!;
}
