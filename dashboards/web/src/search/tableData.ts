// A query with pipes answers with rows of its own making. Their columns are found here, and which
// of them are numbers: those are set to the right and sorted as numbers.

import type { LogRecord } from '../api/types';

export interface TableColumn {
  name: string;
  numeric: boolean;
  /** Largest absolute value of a numeric column. */
  max: number;
  /** Longest text, for the width of the column. */
  chars: number;
}

const WIDEST_CHARS = 60;
/** Columns are judged by this many rows. */
const LOOK_ROWS = 1000;

/** What a function of numbers answers with where there are none. */
const NOT_A_NUMBER = new Set(['NaN', 'Inf', '+Inf', '-Inf']);
const NUMERIC = /^[+-]?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?$/;

export function tableColumns(rows: readonly LogRecord[]): TableColumn[] {
  const columns = new Map<string, TableColumn>();
  for (const row of rows.slice(0, LOOK_ROWS)) {
    for (const [name, value] of Object.entries(row)) {
      let column = columns.get(name);
      if (!column) {
        column = { name, numeric: true, max: 0, chars: name.length };
        columns.set(name, column);
      }
      column.chars = Math.min(WIDEST_CHARS, Math.max(column.chars, value.length));
      if (value === '' || NOT_A_NUMBER.has(value)) continue;
      if (!NUMERIC.test(value)) column.numeric = false;
      else column.max = Math.max(column.max, Math.abs(Number(value)));
    }
  }
  return [...columns.values()];
}

export interface Sorting {
  name: string;
  descending: boolean;
}

export function sortRows(
  rows: readonly LogRecord[],
  columns: readonly TableColumn[],
  sorting: Sorting | undefined,
): readonly LogRecord[] {
  const column = columns.find(({ name }) => name === sorting?.name);
  if (!sorting || !column) return rows;
  const sign = sorting.descending ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [left, right] = [a[column.name] ?? '', b[column.name] ?? ''];
    return sign * (column.numeric ? numberOf(left) - numberOf(right) : left.localeCompare(right));
  });
}

/** What is not a number sorts below all numbers. */
function numberOf(text: string): number {
  const value = Number(text === '' ? Number.NaN : text);
  return Number.isFinite(value) ? value : -Number.MAX_VALUE;
}

/** A number with no more than three decimals; the whole of it is in the cell's title. */
export function shortNumber(text: string): string {
  if (!/\.\d{4,}$/.test(text)) return text;
  const value = Number(text);
  return Math.abs(value) < 0.01 ? value.toPrecision(3) : String(Math.round(value * 1000) / 1000);
}
