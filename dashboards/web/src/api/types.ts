// What the server answers with, and nothing else. The log search paths are those of VictoriaLogs'
// HTTP API; the paths under /api are Rookery's own.

/** One log record: every value is text, a field that is absent is empty. */
export type LogRecord = Readonly<Record<string, string>>;

/** One bar chart series of `/select/logsql/hits`: counts per time bucket for one value of a field. */
export interface HitsSeries {
  fields: Record<string, string>;
  timestamps: string[];
  values: number[];
  total: number;
}

export interface HitsResponse {
  hits: HitsSeries[];
}

export interface ValueHits {
  value: string;
  hits: number;
}

export interface ValuesResponse {
  values: ValueHits[];
}

/** Bytes and records of one fate. */
export interface Amount {
  bytes: number;
  records: number;
}

/** What becomes of a record that was read: what was read is the sum of these. */
export const FATES = ['stored', 'in_flight', 'shed', 'lost'] as const;
export type Fate = (typeof FATES)[number];

/** `duplicates` came a second time and were dropped; they are no part of what was read. */
export type Totals = Record<'read' | 'duplicates' | Fate, Amount>;

/** A range of one stream that was not stored, with the reason. */
export interface LedgerEvent {
  fate: string;
  reason: string;
  generation: string;
  start: number;
  end: number;
  records: number;
  bytes: number;
  at: string;
}

export interface LedgerStream extends Totals {
  stream: string;
  tenant: string;
  labels: Record<string, string>;
  path?: string | null;
  generation: string;
  position: number;
  /** Bytes written to the file and not read so far. */
  behind_bytes?: number;
  balanced: boolean;
  why?: string;
  events?: LedgerEvent[];
}

export interface Ledger {
  balanced: boolean;
  totals: Totals;
  streams: LedgerStream[];
  truncated: boolean;
}

export interface Status {
  version: string;
  role: string;
  data_dir?: string;
  uptime_seconds: number;
  tenant: string;
}
