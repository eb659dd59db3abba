// Records as files. CSV follows RFC 4180: CRLF, quotes doubled; the columns are the union of all
// fields, time and message first.

import type { LogRecord } from '../api/types';

export function toJsonLines(records: readonly LogRecord[]): string {
  return records.map((record) => JSON.stringify(record) + '\n').join('');
}

function cell(value: string): string {
  // A spreadsheet runs a cell that starts with one of these as a formula; a quote in front stops it.
  const safe = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(records: readonly LogRecord[]): string {
  const names = new Set<string>();
  for (const record of records) for (const name of Object.keys(record)) names.add(name);
  const first = ['_time', 'level', '_msg'].filter((name) => names.delete(name));
  const columns = [...first, ...[...names].sort()];
  const lines = [columns, ...records.map((record) => columns.map((name) => record[name] ?? ''))];
  return lines.map((line) => line.map(cell).join(',') + '\r\n').join('');
}
