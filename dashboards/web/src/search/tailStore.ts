// One live tail: what was there before, then the server's endless answer, through breaks of the
// connection. It has caught up when
// the server says so with an empty line, or when no line came for CAUGHT_UP_MS.

import { ApiError, collectLogs, isAbort, tailLogs } from '../api/client';
import type { LogRecord } from '../api/types';
import { oldestFirst } from '../records/record';
import { TailBuffer } from './tailBuffer';

const FIRST_LOOK = 200;
const NOTIFY_MS = 60;
const CAUGHT_UP_MS = 1000;
/** How far before its opening a tail begins, so that nothing falls between two answers. */
const OVERLAP_MS = 5000;
/** After a longer break the tail begins here, and older lines are found by a search. */
const LONGEST_BREAK_MS = 600_000;
/** Waits between attempts to connect again; the last one repeats. */
const RETRY_MS = [500, 1000, 2000, 5000, 10_000] as const;

export type TailStatus = 'connecting' | 'open' | 'reconnecting' | 'failed';

export interface TailSnapshot {
  rows: readonly LogRecord[];
  pending: number;
  paused: boolean;
  dropped: number;
  status: TailStatus;
  caughtUp: boolean;
  error: ApiError | undefined;
}

export class TailStore {
  private readonly buffer = new TailBuffer();
  private status: TailStatus = 'connecting';
  private caughtUp = false;
  /** When the connection was last known to be good. */
  private aliveAt = Date.now();
  private error: ApiError | undefined;
  private snapshot: TailSnapshot = this.look();
  private readonly listeners = new Set<() => void>();
  private notifyTimer: ReturnType<typeof setTimeout> | undefined;
  private quietTimer: ReturnType<typeof setTimeout> | undefined;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getSnapshot = (): TailSnapshot => this.snapshot;

  readonly togglePause = (): void => {
    if (this.buffer.paused) this.buffer.resume();
    else this.buffer.pause();
    this.publish();
  };

  readonly clear = (): void => {
    this.buffer.clear();
    this.publish();
  };

  /** Follows the query until the signal; resolves then. */
  async follow(query: string, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => {
      clearTimeout(this.notifyTimer);
      clearTimeout(this.quietTimer);
    });
    let attempt = 0;
    for (let first = true; !signal.aborted; first = false) {
      try {
        if (first) await this.lookBack(query, signal);
        else this.buffer.expectAgain();
        await this.stream(query, signal, () => {
          attempt = 0;
        });
      } catch (error) {
        if (isAbort(error)) return;
        if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
          this.fail(error);
          return;
        }
      }
      if (this.status === 'open') this.aliveAt = Date.now();
      this.status = 'reconnecting';
      this.caughtUp = false;
      this.publish();
      await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 0, signal);
      attempt += 1;
    }
  }

  private async lookBack(query: string, signal: AbortSignal): Promise<void> {
    const start = new Date(Date.now() - 86_400_000).toISOString();
    const records = await collectLogs({ query, start, limit: FIRST_LOOK }, signal);
    this.buffer.prime(oldestFirst(records));
    this.publish();
  }

  private async stream(query: string, signal: AbortSignal, onOpen: () => void): Promise<void> {
    const since = Math.min(Date.now() - this.aliveAt, LONGEST_BREAK_MS) + OVERLAP_MS;
    await tailLogs(
      { query, start_offset: `${Math.ceil(since / 1000)}s` },
      (records) => {
        this.aliveAt = Date.now();
        if (records.length === 0) {
          this.reachEnd();
          return;
        }
        this.buffer.push(records);
        this.caughtUp = false;
        this.notifySoon();
        this.expectQuiet();
      },
      signal,
      () => {
        onOpen();
        this.aliveAt = Date.now();
        this.status = 'open';
        this.publish();
        this.expectQuiet();
      },
    );
  }

  private expectQuiet(): void {
    clearTimeout(this.quietTimer);
    this.quietTimer = setTimeout(() => this.reachEnd(), CAUGHT_UP_MS);
  }

  private reachEnd(): void {
    clearTimeout(this.quietTimer);
    if (this.caughtUp) return;
    this.caughtUp = true;
    this.publish();
  }

  private notifySoon(): void {
    this.notifyTimer ??= setTimeout(() => this.publish(), NOTIFY_MS);
  }

  private fail(error: ApiError): void {
    this.error = error;
    this.status = 'failed';
    this.publish();
  }

  private look(): TailSnapshot {
    return {
      rows: this.buffer.rows,
      pending: this.buffer.pending,
      paused: this.buffer.paused,
      dropped: this.buffer.dropped,
      status: this.status,
      caughtUp: this.caughtUp,
      error: this.error,
    };
  }

  private publish(): void {
    clearTimeout(this.notifyTimer);
    this.notifyTimer = undefined;
    this.snapshot = this.look();
    for (const listener of this.listeners) listener();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
