import { describe, expect, it } from 'vitest';
import {
  normaliseEnd,
  parseInstant,
  relativeLabel,
  resolveRange,
  shiftRange,
  stepFor,
  stepText,
  widenRange,
} from './range';

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);

describe('parseInstant', () => {
  it.each([
    ['now', NOW],
    ['now-15m', NOW - 900_000],
    ['2h', NOW - 7_200_000],
    ['2026-11-21', Date.UTC(2026, 10, 21)],
    ['2026-11-21 01:02', Date.UTC(2026, 10, 21, 1, 2)],
    ['2026-11-21T01:02:03.5Z', Date.UTC(2026, 10, 21, 1, 2, 3, 500)],
    ['2026-11-21 01:02:03.123456789', Date.UTC(2026, 10, 21, 1, 2, 3, 123)],
    ['2026-11-21T01:02:03+02:00', Date.UTC(2026, 10, 20, 23, 2, 3)],
    ['2026-11-21T01:02:03-0130', Date.UTC(2026, 10, 21, 2, 32, 3)],
    ['1763683200', 1_763_683_200_000],
    ['1763683200123', 1_763_683_200_123],
  ])('%s', (text, expected) => {
    expect(parseInstant(text, NOW, true)).toBe(expected);
  });

  it.each(['', 'yesterday', '2026-13-01', '2026-02-30', '2026-11-21 25:00', 'now+1h', '12'])(
    'refuses %j',
    (text) => {
      expect(parseInstant(text, NOW, true)).toBeUndefined();
    },
  );

  it("reads a time without a zone in the browser's zone unless UTC is on", () => {
    expect(parseInstant('2026-11-21 01:02', NOW, false)).toBe(
      new Date(2026, 10, 21, 1, 2).getTime(),
    );
  });
});

describe('ranges', () => {
  it('resolves both ends at one instant', () => {
    expect(resolveRange({ from: 'now-1h', to: 'now' }, NOW)).toEqual({
      from: NOW - 3_600_000,
      to: NOW,
    });
  });

  it('falls back to the last hour when the range is empty or unreadable', () => {
    const hour = { from: NOW - 3_600_000, to: NOW };
    expect(resolveRange({ from: 'now', to: 'now-1h' }, NOW)).toEqual(hour);
    expect(resolveRange({ from: 'x', to: 'now' }, NOW)).toEqual(hour);
  });

  it('writes ends in one form', () => {
    expect(normaliseEnd('15m', NOW, true)).toBe('now-15m');
    expect(normaliseEnd(' now ', NOW, true)).toBe('now');
    expect(normaliseEnd('2026-11-21 01:02', NOW, true)).toBe('2026-11-21T01:02:00.000Z');
    expect(normaliseEnd('nonsense', NOW, true)).toBeUndefined();
  });

  it('moves and widens', () => {
    const interval = { from: NOW - 2000, to: NOW };
    expect(shiftRange(interval, -1)).toEqual({
      from: new Date(NOW - 3000).toISOString(),
      to: new Date(NOW - 1000).toISOString(),
    });
    expect(widenRange(interval, NOW)).toEqual({
      from: new Date(NOW - 3000).toISOString(),
      to: new Date(NOW).toISOString(),
    });
  });

  it('names relative ranges', () => {
    expect(relativeLabel({ from: 'now-1h', to: 'now' })).toBe('Last 1 hour');
    expect(relativeLabel({ from: 'now-90m', to: 'now' })).toBe('Last 90 minutes');
    expect(relativeLabel({ from: '2026-11-21T00:00:00Z', to: 'now' })).toBeUndefined();
  });

  it('chooses round buckets', () => {
    expect(stepFor({ from: 0, to: 3_600_000 }, 120)).toBe(30);
    expect(stepFor({ from: 0, to: 86_400_000 }, 100)).toBe(900);
    expect(stepText(stepFor({ from: 0, to: 1000 }, 100))).toBe('10ms');
    expect(stepText(300)).toBe('300s');
  });
});
