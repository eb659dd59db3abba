// Instants as people read them, in the browser's zone or in UTC, always with milliseconds where a
// record is meant. Formatting runs for every visible row, so it is arithmetic on Date's own parts
// and not Intl, which is twenty times slower.

function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

interface Parts {
  date: string;
  time: string;
  ms: string;
}

function partsOf(instant: number, utc: boolean): Parts {
  const d = new Date(instant);
  if (utc) {
    return {
      date: `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())}`,
      time: `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`,
      ms: pad(d.getUTCMilliseconds(), 3),
    };
  }
  return {
    date: `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`,
    time: `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`,
    ms: pad(d.getMilliseconds(), 3),
  };
}

/** `2026-11-21 01:02:03.123` */
export function formatInstant(instant: number, utc: boolean): string {
  const { date, time, ms } = partsOf(instant, utc);
  return `${date} ${time}.${ms}`;
}

/** `Nov 21 01:02:03.123`, for a row: the year is in the picker. */
export function formatRowTime(instant: number, utc: boolean): string {
  const { date, time, ms } = partsOf(instant, utc);
  return `${MONTHS[Number(date.slice(5, 7)) - 1] ?? ''} ${date.slice(8)} ${time}.${ms}`;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** An end of a range without what is zero: `2026-11-21 01:02`, `2026-11-21 01:02:03.500`. */
export function formatEnd(instant: number, utc: boolean): string {
  const { date, time, ms } = partsOf(instant, utc);
  if (ms !== '000') return `${date} ${time}.${ms}`;
  return `${date} ${time.endsWith(':00') ? time.slice(0, 5) : time}`;
}

/** `01:02:03` or with the date when `dated`, for a histogram's bucket. */
export function formatBucket(instant: number, utc: boolean, stepSeconds: number): string {
  const { date, time, ms } = partsOf(instant, utc);
  if (stepSeconds >= 86400) return date;
  const clock = stepSeconds < 1 ? `${time}.${ms}` : stepSeconds < 60 ? time : time.slice(0, 5);
  return `${date.slice(5)} ${clock}`;
}

/** The zone that instants are shown in: `UTC`, `UTC+02:00`. */
export function zoneLabel(instant: number, utc: boolean): string {
  const offset = utc ? 0 : -new Date(instant).getTimezoneOffset();
  if (offset === 0) return 'UTC';
  const size = Math.abs(offset);
  return `UTC${offset < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

/** A stretch of time in words short enough for a badge: `340 ms`, `1.2 s`, `3 min`, `2 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** `1,234,567` */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}

/** `999`, `12.3k`, `4.5M`: for places that are narrow. */
export function formatShort(value: number): string {
  if (value < 1000) return String(value);
  for (const [size, unit] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= size) {
      const scaled = value / size;
      return `${scaled < 100 ? scaled.toFixed(1).replace(/\.0$/, '') : Math.round(scaled)}${unit}`;
    }
  }
  return String(value);
}

/** Bytes in binary units: `512 B`, `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** The milliseconds of a record's `_time`, which has up to nine digits after the second. */
export function timeOf(text: string | undefined): number {
  if (text === undefined || text === '') return Number.NaN;
  return Date.parse(text.replace(/(\.\d{3})\d+/, '$1'));
}

/** A record's `_time` as nanoseconds since 1970; undefined when it is not a time in UTC. */
export function nanosOf(text: string | undefined): bigint | undefined {
  const parts = /^(.*?)(?:\.(\d{1,9}))?Z$/.exec(text ?? '');
  const seconds = Date.parse(`${parts?.[1] ?? ''}Z`);
  if (!parts || Number.isNaN(seconds)) return undefined;
  return BigInt(seconds) * 1_000_000n + BigInt((parts[2] ?? '').padEnd(9, '0'));
}

/** Nanoseconds since 1970 as the API writes times. */
export function formatNanos(nanos: bigint): string {
  const second = 1_000_000_000n;
  const rest = ((nanos % second) + second) % second;
  const whole = new Date(Number((nanos - rest) / 1_000_000n)).toISOString().slice(0, 19);
  return `${whole}.${String(rest).padStart(9, '0')}Z`;
}
