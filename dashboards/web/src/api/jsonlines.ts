// JSON lines arrive in chunks that end anywhere: inside a line, and inside a UTF-8 character.
// The parser keeps what is incomplete and hands out whole records. A line that is not a JSON
// object is counted, never thrown: one bad line must not hide the others.

import type { LogRecord } from './types';

/** A line longer than this is given up, so that a server gone wrong cannot fill the tab's memory. */
export const LINE_LIMIT_CHARS = 64 * 1024 * 1024;

export class JsonLinesParser {
  private readonly decoder = new TextDecoder('utf-8');
  private rest = '';
  /** Lines that were not JSON objects. */
  malformed = 0;

  /** Takes the next bytes, returns the records that they complete. */
  push(chunk: Uint8Array): LogRecord[] {
    return this.take(this.decoder.decode(chunk, { stream: true }));
  }

  /** Returns the last record when the stream ended without a line feed. */
  end(): LogRecord[] {
    return this.take(this.decoder.decode() + '\n');
  }

  private take(text: string): LogRecord[] {
    const records: LogRecord[] = [];
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > LINE_LIMIT_CHARS) {
      this.rest = '';
      this.malformed += 1;
    }
    for (const line of lines) {
      if (line.trim() === '') continue;
      const record = parseRecord(line);
      if (record) records.push(record);
      else this.malformed += 1;
    }
    return records;
  }
}

function parseRecord(line: string): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const record: Record<string, string> = {};
  for (const [name, field] of Object.entries(value)) {
    record[name] = typeof field === 'string' ? field : JSON.stringify(field);
  }
  return record;
}
