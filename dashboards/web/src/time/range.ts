// Time ranges as people write them: `now-1h`, `now`, or an instant. A relative range stays relative
// in the URL and becomes two instants each time a search is run, so that every request of one
// search (records, histogram, fields) is about the same interval.

/** An interval of instants, milliseconds since 1970, `to` exclusive. */
export interface Interval {
  from: number;
  to: number;
}

/** The two ends as they stand in the URL. */
export interface TimeRange {
  from: string;
  to: string;
}

export const DEFAULT_RANGE: TimeRange = { from: 'now-1h', to: 'now' };

/** The choices of the picker. */
export const QUICK_RANGES: readonly { label: string; from: string }[] = [
  { label: 'Last 5 minutes', from: 'now-5m' },
  { label: 'Last 15 minutes', from: 'now-15m' },
  { label: 'Last 30 minutes', from: 'now-30m' },
  { label: 'Last 1 hour', from: 'now-1h' },
  { label: 'Last 3 hours', from: 'now-3h' },
  { label: 'Last 6 hours', from: 'now-6h' },
  { label: 'Last 12 hours', from: 'now-12h' },
  { label: 'Last 24 hours', from: 'now-24h' },
  { label: 'Last 2 days', from: 'now-2d' },
  { label: 'Last 7 days', from: 'now-7d' },
  { label: 'Last 30 days', from: 'now-30d' },
  { label: 'Last 90 days', from: 'now-90d' },
];

const UNIT_MS: Record<string, number> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const UNIT_NAMES: Record<string, string> = {
  s: 'second',
  m: 'minute',
  h: 'hour',
  d: 'day',
  w: 'week',
};

const RELATIVE = /^now(?:\s*-\s*(\d{1,6})\s*([smhdw]))?$/;
const SHORT = /^-?(\d{1,6})\s*([smhdw])$/;
const LOCAL =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?$/;

export function isRelative(text: string): boolean {
  return RELATIVE.test(text.trim());
}

/**
 * One end of a range as an instant, or undefined when it cannot be read. Understands `now`,
 * `now-15m`, `15m`, ISO dates with or without time and zone, and Unix seconds or milliseconds.
 * An instant without a zone is in UTC when `utc`, else in the browser's zone.
 */
export function parseInstant(text: string, now: number, utc: boolean): number | undefined {
  const trimmed = text.trim();
  const relative = RELATIVE.exec(trimmed) ?? SHORT.exec(trimmed);
  if (relative) return now - Number(relative[1] ?? 0) * (UNIT_MS[relative[2] ?? 's'] ?? 0);
  if (/^\d{10}$/.test(trimmed)) return Number(trimmed) * 1000;
  if (/^\d{13}$/.test(trimmed)) return Number(trimmed);
  const parts = LOCAL.exec(trimmed);
  if (!parts) return undefined;
  return calendarInstant(parts, utc);
}

function calendarInstant(parts: RegExpExecArray, utc: boolean): number | undefined {
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map((index) =>
    Number(parts[index] ?? 0),
  ) as [number, number, number, number, number, number];
  const ms = Number((parts[7] ?? '').padEnd(3, '0').slice(0, 3));
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60)
    return undefined;
  const asUtc = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  if (new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) return undefined;
  const zone = parts[8];
  if (zone === 'Z' || (zone === undefined && utc)) return asUtc;
  if (zone === undefined) {
    return new Date(year, month - 1, day, hour, minute, second, ms).getTime();
  }
  const sign = zone.startsWith('-') ? -1 : 1;
  const digits = zone.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return asUtc - sign * minutes * UNIT_MS_MINUTE;
}

const UNIT_MS_MINUTE = 60_000;

/** Writes an end for the URL: relative text in its short form, an instant as ISO UTC. */
export function normaliseEnd(text: string, now: number, utc: boolean): string | undefined {
  const trimmed = text.trim();
  const relative = RELATIVE.exec(trimmed) ?? SHORT.exec(trimmed);
  if (relative) {
    return relative[1] === undefined ? 'now' : `now-${Number(relative[1])}${relative[2] ?? 's'}`;
  }
  const instant = parseInstant(trimmed, now, utc);
  return instant === undefined ? undefined : new Date(instant).toISOString();
}

/** Both ends as instants; a range that cannot be read, or is empty, becomes the default one. */
export function resolveRange(range: TimeRange, now: number): Interval {
  const from = parseInstant(range.from, now, true);
  const to = parseInstant(range.to, now, true);
  if (from === undefined || to === undefined || from >= to) {
    return { from: now - 3_600_000, to: now };
  }
  return { from, to };
}

export function absoluteRange(interval: Interval): TimeRange {
  return {
    from: new Date(Math.round(interval.from)).toISOString(),
    to: new Date(Math.round(interval.to)).toISOString(),
  };
}

/** The range moved by half of itself; -1 to the past, 1 to the future. */
export function shiftRange(interval: Interval, direction: -1 | 1): TimeRange {
  const half = (interval.to - interval.from) / 2;
  return absoluteRange({
    from: interval.from + direction * half,
    to: interval.to + direction * half,
  });
}

/** Twice the range around the same middle, not past `now`. */
export function widenRange(interval: Interval, now: number): TimeRange {
  const half = Math.max((interval.to - interval.from) / 2, 1);
  return absoluteRange({
    from: interval.from - half,
    to: Math.max(Math.min(interval.to + half, now), interval.to),
  });
}

/** What the picker's button says for a relative range, or undefined for an absolute one. */
export function relativeLabel(range: TimeRange): string | undefined {
  if (range.to !== 'now') return undefined;
  const known = QUICK_RANGES.find((quick) => quick.from === range.from);
  if (known) return known.label;
  const parts = RELATIVE.exec(range.from);
  const amount = parts?.[1];
  const unit = UNIT_NAMES[parts?.[2] ?? ''];
  if (amount === undefined || unit === undefined) return undefined;
  return `Last ${amount} ${unit}${Number(amount) === 1 ? '' : 's'}`;
}

const STEPS_S = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
  1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
];

/** The histogram's bucket, in seconds: the smallest round step that gives at most `buckets` bars. */
export function stepFor(interval: Interval, buckets: number): number {
  const wanted = (interval.to - interval.from) / 1000 / buckets;
  return STEPS_S.find((step) => step >= wanted) ?? 2592000;
}

/** A step as the API writes durations. */
export function stepText(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)}ms` : `${seconds}s`;
}
