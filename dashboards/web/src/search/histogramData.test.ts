import { describe, expect, it } from 'vitest';
import { histogramData } from './histogramData';

const at = (ms: number): string => new Date(ms).toISOString();

describe('histogramData', () => {
  const interval = { from: 10_500, to: 14_000 };

  it('fills empty buckets and stacks the gravest at the bottom', () => {
    const data = histogramData(
      [
        {
          fields: { level: 'info' },
          timestamps: [at(10_000), at(12_000)],
          values: [5, 7],
          total: 12,
        },
        { fields: { level: 'ERROR' }, timestamps: [at(12_000)], values: [2], total: 2 },
      ],
      interval,
      1000,
    );
    expect(data.times).toEqual([10_000, 11_000, 12_000, 13_000]);
    expect(data.levels).toEqual(['error', 'info']);
    expect(data.counts).toEqual([
      [0, 0, 2, 0],
      [5, 0, 7, 0],
    ]);
    expect(data.stacked[1]).toEqual([5, 0, 9, 0]);
    expect(data.total).toBe(14);
  });

  it('adds up levels that are written in several ways', () => {
    const one = (level: string) => ({
      fields: { level },
      timestamps: [at(11_000)],
      values: [1],
      total: 1,
    });
    const data = histogramData([one('warn'), one('WARNING'), one('')], interval, 1000);
    expect(data.levels).toEqual(['warn', 'unknown']);
    expect(data.totals).toEqual([0, 3, 0, 0]);
  });

  it("follows the server's alignment of buckets", () => {
    const series = [{ fields: {}, timestamps: [at(11_250)], values: [3], total: 3 }];
    const data = histogramData(series, interval, 1000);
    expect(data.times).toEqual([10_250, 11_250, 12_250, 13_250]);
    expect(data.totals).toEqual([0, 3, 0, 0]);
  });

  it('has buckets also when nothing was found', () => {
    expect(histogramData([], interval, 1000).times).toHaveLength(4);
  });
});
