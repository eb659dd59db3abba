import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatDuration,
  formatInstant,
  formatNanos,
  formatRowTime,
  formatShort,
  nanosOf,
  timeOf,
} from './format';

describe('formats', () => {
  it('shows milliseconds in UTC', () => {
    const instant = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
    expect(formatInstant(instant, true)).toBe('2026-01-02 03:04:05.006');
    expect(formatRowTime(instant, true)).toBe('Jan 02 03:04:05.006');
  });

  it('reads nanoseconds', () => {
    expect(timeOf('2026-01-02T03:04:05.006789123Z')).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
    expect(timeOf('')).toBeNaN();
  });

  it('shortens numbers', () => {
    expect([0, 999, 1000, 12_345, 1_500_000, 123_456_789].map(formatShort)).toEqual([
      '0',
      '999',
      '1k',
      '12.3k',
      '1.5M',
      '123M',
    ]);
    expect([5, 1536, 250 * 1024].map(formatBytes)).toEqual(['5 B', '1.5 KiB', '250 KiB']);
    expect([340, 1200, 180_000].map(formatDuration)).toEqual(['340 ms', '1.2 s', '3 min']);
  });

  it('keeps nanoseconds through arithmetic', () => {
    const text = '2026-11-21T00:00:00.123456789Z';
    expect(formatNanos(nanosOf(text) ?? 0n)).toBe(text);
    expect(formatNanos((nanosOf('2026-11-20T23:59:59.999999999Z') ?? 0n) + 1n)).toBe(
      '2026-11-21T00:00:00.000000000Z',
    );
    expect(nanosOf('2026-11-21T00:00:00Z')).toBe(BigInt(Date.UTC(2026, 10, 21)) * 1_000_000n);
    expect(nanosOf('yesterday')).toBeUndefined();
  });
});
