// The one place that talks to the server. Queries travel as POST forms (a query can be longer than
// a URL may be), downloads as GET. Every call takes an AbortSignal: the server stops a query whose
// caller went away, so leaving or cancelling frees its work too.

import { JsonLinesParser } from './jsonlines';
import type { HitsResponse, Ledger, LogRecord, Status, ValuesResponse } from './types';

/** An answer of the server that is not a success, in its own words. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    message: string,
    readonly status: number,
    readonly kind?: string,
    /** Byte offset in the query, when the error is about a place in it. */
    readonly position?: number,
    readonly expected?: string,
  ) {
    super(message);
  }
}

export type Params = Record<string, string | number | undefined>;

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export function encodeParams(params: Params): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== '') form.set(name, String(value));
  }
  return form;
}

export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    const message = typeof body['error'] === 'string' ? body['error'] : text;
    return new ApiError(
      message,
      response.status,
      typeof body['kind'] === 'string' ? body['kind'] : undefined,
      typeof body['position'] === 'number' ? body['position'] : undefined,
      typeof body['expected'] === 'string' ? body['expected'] : undefined,
    );
  } catch {
    const message = text.trim() || `${response.status} ${response.statusText}`;
    return new ApiError(message, response.status);
  }
}

async function send(path: string, params: Params, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`.${path}`, {
      method: 'POST',
      body: encodeParams(params),
      signal: signal ?? null,
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError('The server does not answer. Is rookery still running?', 0, 'unavailable');
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** A status is sent before the first record: what fails later can only break the answer off. */
function brokenOff(error: unknown): never {
  if (isAbort(error)) throw error;
  const words = 'The answer broke off before its end, so it is not complete.';
  throw new ApiError(`${words} The log of the server says why.`, 0, 'unavailable');
}

async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`.${path}`, { signal: signal ?? null });
  if (!response.ok) throw await errorOf(response);
  return (await response.json()) as T;
}

async function postJson<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  const response = await send(path, params, signal);
  return (await response.json()) as T;
}

/**
 * Reads a JSON lines answer; `onRecords` is called as bytes arrive, also when they complete no
 * record: the empty line of a live tail says that it has caught up. Resolves at the answer's end,
 * to the number of lines that could not be read.
 */
async function readLines(
  path: string,
  params: Params,
  onRecords: (records: LogRecord[]) => void,
  signal: AbortSignal,
  onOpen?: () => void,
): Promise<number> {
  const response = await send(path, params, signal);
  onOpen?.();
  if (!response.body) return 0;
  const parser = new JsonLinesParser();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(brokenOff);
    onRecords(done ? parser.end() : parser.push(value));
    if (done) return parser.malformed;
  }
}

export function queryLogs(
  params: Params,
  onRecords: (records: LogRecord[]) => void,
  signal: AbortSignal,
): Promise<number> {
  return readLines('/select/logsql/query', params, onRecords, signal);
}

export function tailLogs(
  params: Params,
  onRecords: (records: LogRecord[]) => void,
  signal: AbortSignal,
  onOpen: () => void,
): Promise<number> {
  return readLines('/select/logsql/tail', params, onRecords, signal, onOpen);
}

/** All records of a small answer at once. The caller gives a limit. */
export async function collectLogs(params: Params, signal?: AbortSignal): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  const never = new AbortController().signal;
  await queryLogs(params, (records) => all.push(...records), signal ?? never);
  return all;
}

export function fetchHits(params: Params, signal?: AbortSignal): Promise<HitsResponse> {
  return postJson('/select/logsql/hits', params, signal);
}

export function fetchFieldNames(params: Params, signal?: AbortSignal): Promise<ValuesResponse> {
  return postJson('/select/logsql/field_names', params, signal);
}

export function fetchFieldValues(params: Params, signal?: AbortSignal): Promise<ValuesResponse> {
  return postJson('/select/logsql/field_values', params, signal);
}

export function fetchStreamFieldNames(
  params: Params,
  signal?: AbortSignal,
): Promise<ValuesResponse> {
  return postJson('/select/logsql/stream_field_names', params, signal);
}

export function fetchStreamFieldValues(
  params: Params,
  signal?: AbortSignal,
): Promise<ValuesResponse> {
  return postJson('/select/logsql/stream_field_values', params, signal);
}

export function fetchLedger(signal?: AbortSignal): Promise<Ledger> {
  return getJson('/api/ledger', signal);
}

export function fetchStatus(signal?: AbortSignal): Promise<Status> {
  return getJson('/api/status', signal);
}

export function queryUrl(params: Params): string {
  return `./select/logsql/query?${encodeParams(params).toString()}`;
}
