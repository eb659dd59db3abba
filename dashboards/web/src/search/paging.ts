// The records after those held, newest first: the same search, ending at the instant of the oldest
// record held. A server finds these without going through the newer ones again, as an offset would
// make it do. Records of that very instant may be on both sides of the cut, so they are asked for
// again, and those held are dropped, each as often as it is held.

import type { LogRecord } from '../api/types';
import { recordKey } from '../records/record';
import { formatNanos, nanosOf } from '../time/format';

export interface NextPage {
  /** The end to ask for: one nanosecond on, so that it may be meant inclusively or not. */
  end: string;
  /** How many records to ask for beyond the page's own. */
  extra: number;
  /** Passes on only what is not held. Stateful: for the records of this page alone. */
  fresh: (records: readonly LogRecord[]) => LogRecord[];
}

/** The page after `rows`, or undefined when their times cannot be read. */
export function nextPage(rows: readonly LogRecord[]): NextPage | undefined {
  const oldest = nanosOf(rows.at(-1)?.['_time']);
  if (oldest === undefined) return undefined;
  const held = new Map<string, number>();
  let extra = 0;
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    const row = rows[index];
    const time = nanosOf(row?.['_time']);
    if (!row || time === undefined || time > oldest + 1n) break;
    const key = recordKey(row);
    held.set(key, (held.get(key) ?? 0) + 1);
    extra += 1;
  }
  const isHeld = (record: LogRecord): boolean => {
    const key = recordKey(record);
    const count = held.get(key) ?? 0;
    if (count > 0) held.set(key, count - 1);
    return count > 0;
  };
  return {
    end: formatNanos(oldest + 1n),
    extra,
    fresh: (records) => records.filter((record) => !isHeld(record)),
  };
}
