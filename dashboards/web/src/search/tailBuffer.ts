// The lines of a live tail: the newest TAIL_LIMIT of them. While paused, new lines wait beside, so
// that what a person reads does not move; of those too only the newest are kept. What is dropped is
// counted and shown.

import type { LogRecord } from '../api/types';
import { recordKey } from '../records/record';

export const TAIL_LIMIT = 10_000;
/** How many of the last lines are remembered when a connection opens again. */
const OVERLAP_LINES = 2000;

export class TailBuffer {
  private shown: LogRecord[] = [];
  private waiting: LogRecord[] = [];
  /** Lines of the first look that the tail may bring again, with how often. */
  private readonly overlap = new Map<string, number>();
  paused = false;
  dropped = 0;

  constructor(private readonly limit = TAIL_LIMIT) {}

  get rows(): readonly LogRecord[] {
    return this.shown;
  }

  get pending(): number {
    return this.waiting.length;
  }

  /** The lines that were there before the tail began, oldest first. */
  prime(records: readonly LogRecord[]): void {
    this.shown = this.bounded([...records]);
    this.expectAgain();
  }

  /** The next tail overlaps with what is held: its first lines may be those held last. */
  expectAgain(): void {
    this.overlap.clear();
    for (const record of [...this.shown, ...this.waiting].slice(-OVERLAP_LINES)) {
      const key = recordKey(record);
      this.overlap.set(key, (this.overlap.get(key) ?? 0) + 1);
    }
  }

  /** Lines of the tail. One that the first look already brought is taken once. */
  push(records: readonly LogRecord[]): void {
    const fresh = records.filter((record) => !this.seen(record));
    if (this.paused) this.waiting = this.bounded([...this.waiting, ...fresh]);
    else this.shown = this.bounded([...this.shown, ...fresh]);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.shown = this.bounded([...this.shown, ...this.waiting]);
    this.waiting = [];
  }

  clear(): void {
    this.shown = [];
    this.waiting = [];
    this.dropped = 0;
  }

  private seen(record: LogRecord): boolean {
    if (this.overlap.size === 0) return false;
    const key = recordKey(record);
    const count = this.overlap.get(key);
    if (count === undefined) return false;
    if (count === 1) this.overlap.delete(key);
    else this.overlap.set(key, count - 1);
    return true;
  }

  private bounded(records: LogRecord[]): LogRecord[] {
    const excess = records.length - this.limit;
    if (excess <= 0) return records;
    this.dropped += excess;
    return records.slice(excess);
  }
}
