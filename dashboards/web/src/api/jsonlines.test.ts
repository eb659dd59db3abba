import { describe, expect, it } from 'vitest';
import { JsonLinesParser } from './jsonlines';
import type { LogRecord } from './types';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function parseIn(text: string, size: number): LogRecord[] {
  const parser = new JsonLinesParser();
  const all = bytes(text);
  const records: LogRecord[] = [];
  for (let at = 0; at < all.length; at += size) {
    records.push(...parser.push(all.subarray(at, at + size)));
  }
  return [...records, ...parser.end()];
}

describe('JsonLinesParser', () => {
  const text = '{"_msg":"é 😀","n":"1"}\n{"_msg":"b\\nc"}\r\n\n{"_msg":"last"}';
  const expected = [{ _msg: 'é 😀', n: '1' }, { _msg: 'b\nc' }, { _msg: 'last' }];

  it.each([1, 2, 3, 7, 1000])('gives the same records in chunks of %i bytes', (size) => {
    expect(parseIn(text, size)).toEqual(expected);
  });

  it('hands out a record as soon as its line is complete', () => {
    const parser = new JsonLinesParser();
    expect(parser.push(bytes('{"a":"1"}\n{"a"'))).toEqual([{ a: '1' }]);
    expect(parser.push(bytes(':"2"}\n'))).toEqual([{ a: '2' }]);
    expect(parser.end()).toEqual([]);
  });

  it('counts what is not an object and goes on', () => {
    const parser = new JsonLinesParser();
    expect(parser.push(bytes('nonsense\n[1]\nnull\n{"a":"1"}\n'))).toEqual([{ a: '1' }]);
    expect(parser.malformed).toBe(3);
  });

  it('turns values that are not text into text', () => {
    expect(parseIn('{"a":1,"b":true,"c":{"d":[2]}}', 100)).toEqual([
      { a: '1', b: 'true', c: '{"d":[2]}' },
    ]);
  });
});
