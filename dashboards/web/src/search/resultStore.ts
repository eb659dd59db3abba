// The records of the running search. They arrive over seconds, up to 100,000 of them, so they do
// not live in React's state: they are appended here, and subscribers hear of it at most every
// NOTIFY_MS. The rows of the search before stay on show until the first new ones are there, so
// that the page does not flash empty.

import { ApiError, isAbort, queryLogs, type Params } from '../api/client';
import type { LogRecord } from '../api/types';
import { newestFirst } from '../records/record';
import { nextPage } from './paging';

/** More rows than this are never held: the tab's memory is bounded by it. */
export const ROW_LIMIT = 100_000;
const NOTIFY_MS = 60;

export type ResultStatus = 'running' | 'done' | 'failed' | 'cancelled';

export interface SearchSpec {
  query: string;
  start: string;
  end: string;
  limit: number;
  /** Whether older records can be asked for; not for queries with pipes. */
  pageable: boolean;
}

export interface ResultSnapshot {
  rows: readonly LogRecord[];
  status: ResultStatus;
  /** The rows are those of the search before. */
  stale: boolean;
  startedAt: number;
  /** How long the search took, once it ended. */
  elapsedMs: number | undefined;
  error: ApiError | undefined;
  /** Lines of the answer that could not be read. */
  unreadable: number;
  /** There are records beyond those held. */
  more: boolean;
}

function isSame(a: SearchSpec | undefined, b: SearchSpec): boolean {
  return a?.query === b.query && a.start === b.start && a.end === b.end && a.limit === b.limit;
}

const EMPTY: ResultSnapshot = {
  rows: [],
  status: 'running',
  stale: false,
  startedAt: 0,
  elapsedMs: undefined,
  error: undefined,
  unreadable: 0,
  more: false,
};

class ResultStore {
  private rows: LogRecord[] = [];
  private snapshot = EMPTY;
  private spec: SearchSpec | undefined;
  private controller: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getSnapshot = (): ResultSnapshot => this.snapshot;

  /** Starts a search; the one that already ended in these rows is not asked for again. */
  start(spec: SearchSpec): void {
    if (this.snapshot.status === 'done' && isSame(this.spec, spec)) return;
    this.spec = spec;
    this.rows = [];
    this.publish({
      status: 'running',
      stale: this.snapshot.rows.length > 0,
      startedAt: Date.now(),
      elapsedMs: undefined,
      error: undefined,
      unreadable: 0,
      more: false,
    });
    void this.fetchPage(spec);
  }

  /** Fetches the records that follow those held. */
  readonly loadMore = (): void => {
    if (!this.spec || !this.snapshot.more || this.snapshot.status === 'running') return;
    this.publish({ status: 'running', startedAt: Date.now(), elapsedMs: undefined });
    void this.fetchPage(this.spec);
  };

  readonly cancel = (): void => {
    if (this.snapshot.status !== 'running') return;
    this.abort();
    this.publish({
      rows: [...this.rows],
      stale: false,
      status: 'cancelled',
      elapsedMs: Date.now() - this.snapshot.startedAt,
    });
  };

  /** Stops without a word: the component went away. */
  abort(): void {
    this.controller?.abort();
    this.controller = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private publish(change: Partial<ResultSnapshot>): void {
    this.snapshot = { ...this.snapshot, ...change };
    for (const listener of this.listeners) listener();
  }

  private async fetchPage(spec: SearchSpec): Promise<void> {
    this.abort();
    const controller = new AbortController();
    this.controller = controller;
    const page = nextPage(this.rows);
    const offset = this.rows.length;
    const limit = Math.min(spec.limit, ROW_LIMIT - offset);
    const params: Params = {
      query: spec.query,
      start: spec.start,
      end: page?.end ?? spec.end,
      limit: limit + (page?.extra ?? 0),
    };
    try {
      const unreadable = await queryLogs(
        params,
        (records) => this.take(page?.fresh(records) ?? records),
        controller.signal,
      );
      if (controller.signal.aborted) return;
      this.finish(spec, offset, limit, unreadable);
    } catch (error) {
      if (controller.signal.aborted || isAbort(error)) return;
      this.fail(error instanceof ApiError ? error : new ApiError(String(error), 0));
    }
  }

  private take(records: readonly LogRecord[]): void {
    const room = ROW_LIMIT - this.rows.length;
    for (const record of records.slice(0, room)) this.rows.push(record);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.publish({ rows: [...this.rows], stale: false });
    }, NOTIFY_MS);
  }

  private finish(spec: SearchSpec, offset: number, limit: number, unreadable: number): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const page = this.rows.splice(offset);
    for (const row of spec.pageable ? newestFirst(page) : page) this.rows.push(row);
    const got = page.length;
    this.publish({
      rows: [...this.rows],
      stale: false,
      status: 'done',
      unreadable: this.snapshot.unreadable + unreadable,
      elapsedMs: Date.now() - this.snapshot.startedAt,
      more: spec.pageable && got >= limit && this.rows.length < ROW_LIMIT,
    });
  }

  private fail(error: ApiError): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.publish({
      rows: [...this.rows],
      stale: false,
      status: 'failed',
      elapsedMs: Date.now() - this.snapshot.startedAt,
      error,
      more: false,
    });
  }
}

/** One for the page: its rows outlive a look at another page. */
export const results = new ResultStore();
