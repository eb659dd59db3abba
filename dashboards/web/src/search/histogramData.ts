// The answer of `/hits` as the columns that the chart draws: one x per bucket of the range, also of
// those without records, and for each level the counts stacked on those of the levels below it.

import type { HitsSeries } from '../api/types';
import { LEVELS, levelOf, type Level } from '../records/record';
import { timeOf } from '../time/format';
import type { Interval } from '../time/range';

export interface HistogramData {
  /** Starts of the buckets, milliseconds. */
  times: number[];
  /** The levels that occur, gravest first. */
  levels: Level[];
  /** Counts by level, in the order of `levels`. */
  counts: number[][];
  /** Running sums of `counts`: the tops of the stacked bars. */
  stacked: number[][];
  totals: number[];
  total: number;
}

/** A range and a step give at most this many buckets; more would be a server that does not follow. */
const BUCKET_LIMIT = 5000;

export function histogramData(
  series: readonly HitsSeries[],
  interval: Interval,
  stepMs: number,
): HistogramData {
  const anchor = timeOf(series.find((one) => one.timestamps.length > 0)?.timestamps[0]);
  const times = bucketTimes(interval, stepMs, Number.isNaN(anchor) ? 0 : anchor);
  const first = times[0] ?? 0;
  const byLevel = new Map<Level, number[]>();
  for (const one of series) {
    const level = levelOf(one.fields['level']);
    const counts = byLevel.get(level) ?? times.map(() => 0);
    byLevel.set(level, counts);
    for (const [index, text] of one.timestamps.entries()) {
      const at = Math.round((timeOf(text) - first) / stepMs);
      if (at >= 0 && at < counts.length) counts[at] = (counts[at] ?? 0) + (one.values[index] ?? 0);
    }
  }
  const levels = LEVELS.filter((level) => byLevel.has(level));
  const counts = levels.map((level) => byLevel.get(level) ?? []);
  const totals = times.map(() => 0);
  const stacked = counts.map((row) =>
    row.map((count, at) => {
      totals[at] = (totals[at] ?? 0) + count;
      return totals[at];
    }),
  );
  return { times, levels, counts, stacked, totals, total: totals.reduce((a, b) => a + b, 0) };
}

function bucketTimes(interval: Interval, stepMs: number, anchor: number): number[] {
  const phase = ((anchor % stepMs) + stepMs) % stepMs;
  const start = Math.floor((interval.from - phase) / stepMs) * stepMs + phase;
  const times: number[] = [];
  for (let at = start; at < interval.to && times.length < BUCKET_LIMIT; at += stepMs)
    times.push(at);
  return times;
}
