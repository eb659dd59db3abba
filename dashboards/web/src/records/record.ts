// What the page reads out of a record: its time, level, origin and identity.

import type { LogRecord } from '../api/types';
import { timeOf } from '../time/format';

export type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'unknown';

/** From the gravest down, the order of the stacks in the histogram from the bottom up. */
export const LEVELS: readonly Level[] = [
  'fatal',
  'error',
  'warn',
  'info',
  'debug',
  'trace',
  'unknown',
];

const LEVEL_WORDS: Record<string, Level> = {
  f: 'fatal',
  fatal: 'fatal',
  panic: 'fatal',
  emerg: 'fatal',
  emergency: 'fatal',
  alert: 'fatal',
  crit: 'fatal',
  critical: 'fatal',
  e: 'error',
  err: 'error',
  error: 'error',
  severe: 'error',
  w: 'warn',
  warn: 'warn',
  warning: 'warn',
  i: 'info',
  info: 'info',
  information: 'info',
  informational: 'info',
  notice: 'info',
  d: 'debug',
  debug: 'debug',
  t: 'trace',
  trace: 'trace',
};

export function levelOf(text: string | undefined): Level {
  if (text === undefined) return 'unknown';
  return LEVEL_WORDS[text.toLowerCase()] ?? 'unknown';
}

/** Fields that say where a record is, not what it says; shown last and greyed. */
export const HOUSEKEEPING: ReadonlySet<string> = new Set([
  '_stream',
  '_stream_id',
  '_generation',
  '_offset',
  '_observed',
]);

/**
 * Where the line comes from, in few characters: pod and container (left out where the pod is named
 * after it), unit, or the end of its path.
 */
export function originOf(record: LogRecord): string {
  const pod = record['pod'];
  const container = record['container'];
  if (pod) return container && !pod.startsWith(container) ? `${pod}/${container}` : pod;
  const named = container ?? record['service'] ?? record['app'] ?? record['unit'];
  if (named) return named;
  const path = record['_path'];
  if (path) return path.slice(path.lastIndexOf('/') + 1);
  return record['host'] ?? record['node'] ?? '';
}

/** FNV-1a, 32 bits: tells two lines of one instant apart. */
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(36);
}

/**
 * A record's identity, short enough for the address: stream, time, text. Not its position: a search
 * leaves that out and a tail does not, and the two have to agree.
 */
export function recordKey(record: LogRecord): string {
  const text = record['_msg'] ?? JSON.stringify(record);
  return `${record['_stream_id'] ?? ''}@${record['_time'] ?? ''}@${shortHash(text)}`;
}

/** The stream and the time out of a key, to find a record that is not among the results. */
export function parseRecordKey(key: string): { stream: string; time: string } | undefined {
  const [stream, time] = key.split('@');
  if (!stream || !time || Number.isNaN(timeOf(time))) return undefined;
  return { stream, time };
}

/** The fields of a record in reading order: what it says first, where it is kept last. */
export function orderedFields(record: LogRecord): [string, string][] {
  const rank = (name: string): number => {
    if (name === '_time') return 0;
    if (name === 'level') return 1;
    if (name === '_msg') return 2;
    return HOUSEKEEPING.has(name) ? 4 : 3;
  };
  return Object.entries(record)
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

/** The one line of text that stands for the record in a list. */
export function messageOf(record: LogRecord): string {
  const message = record['_msg'];
  if (message !== undefined && message !== '') return message;
  return Object.entries(record)
    .filter(([name, value]) => !name.startsWith('_') && value !== '')
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

// ESC [ … letter: colours and cursor movements that programs print for terminals.
// eslint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;?]*[A-Za-z]/g;

export function withoutAnsi(text: string): string {
  return text.includes('\u001b') ? text.replace(ANSI, '') : text;
}

/** Oldest first, to the nanosecond; a sort with it keeps the order of equal instants. */
export function byTime(a: LogRecord, b: LogRecord): number {
  const difference = timeOf(a['_time']) - timeOf(b['_time']);
  if (Number.isNaN(difference)) return 0;
  return difference || fraction(a['_time']).localeCompare(fraction(b['_time']));
}

function fraction(time: string | undefined): string {
  return (/\.(\d+)/.exec(time ?? '')?.[1] ?? '').padEnd(9, '0');
}

/**
 * Newest first. An answer may run in either direction, and a limited one runs from the newest; lines
 * of one instant keep their order along it, which is that of their writing or its reverse.
 */
export function newestFirst(records: readonly LogRecord[]): LogRecord[] {
  return oldestFirst(records).reverse();
}

/** Oldest first, for answers in either direction. */
export function oldestFirst(records: readonly LogRecord[]): LogRecord[] {
  const [first, last] = [records[0], records.at(-1)];
  const forwards = first !== undefined && last !== undefined && byTime(first, last) < 0;
  return (forwards ? [...records] : records.toReversed()).sort(byTime);
}

/** Names that programs give the text of a structured line, most usual first. */
const MESSAGE_MEMBERS = ['msg', 'message', 'text', 'event', 'log', 'MESSAGE'];
/** Members that the list shows elsewhere, or that repeat the time. */
const SHOWN_ELSEWHERE = new Set([
  'level',
  'severity',
  'lvl',
  'time',
  'ts',
  'timestamp',
  '@timestamp',
]);

/** A line of JSON or logfmt, as its message and the rest of it; undefined for other lines. */
export function structuredMessage(text: string): { message: string; rest: string } | undefined {
  const members = jsonMembers(text) ?? logfmtMembers(text);
  const name = MESSAGE_MEMBERS.find((one) => members?.has(one));
  if (!members || name === undefined) return undefined;
  const rest = [...members]
    .filter(([member]) => member !== name && !SHOWN_ELSEWHERE.has(member))
    .map(([member, value]) => `${member}=${value}`);
  return { message: members.get(name) ?? '', rest: rest.join(' ') };
}

function jsonMembers(text: string): Map<string, string> | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  try {
    const members = Object.entries(JSON.parse(text) as Record<string, unknown>);
    return new Map(
      members.map(([name, value]) => [
        name,
        typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    );
  } catch {
    return undefined;
  }
}

/** The whole line has to be pairs: prose that has an `=` in it stays prose. */
function logfmtMembers(text: string): Map<string, string> | undefined {
  if (!/^[\w.@/-]+=/.test(text)) return undefined;
  const members = new Map<string, string>();
  const pair = /([\w.@/-]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s+|$)/y;
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (!match) return undefined;
    const [, name = '', value = ''] = match;
    members.set(name, value.startsWith('"') ? value.slice(1, -1).replaceAll('\\"', '"') : value);
  }
  return members;
}

/** A time at the head of a line, as most programs print it, with the space after it. */
const PRINTED_TIME =
  /^(?:[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+|\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?\]?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)\s+/;

/** How much of a line repeats its time, which the list shows in a column of its own. */
export function printedTimeLength(text: string): number {
  return PRINTED_TIME.exec(text)?.[0].length ?? 0;
}
