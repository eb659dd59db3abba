import { describe, expect, it } from 'vitest';
import { toCsv, toJsonLines } from './export';
import {
  levelOf,
  messageOf,
  newestFirst,
  oldestFirst,
  orderedFields,
  originOf,
  parseRecordKey,
  printedTimeLength,
  recordKey,
  structuredMessage,
} from './record';

describe('export', () => {
  const records = [
    { _time: 't1', _msg: 'a, "b"', pod: 'x' },
    { _time: 't2', _msg: '=1+1', n: '-5' },
  ];

  it('writes CSV that keeps commas, quotes and fields apart', () => {
    expect(toCsv(records)).toBe(`_time,_msg,n,pod\r\nt1,"a, ""b""",,x\r\nt2,'=1+1,-5,\r\n`);
  });

  it('writes one JSON object a line', () => {
    expect(toJsonLines([{ _msg: 'a\nb' }])).toBe('{"_msg":"a\\nb"}\n');
  });
});

describe('records', () => {
  it('knows levels by their many names', () => {
    expect(['WARNING', 'Err', 'notice', 'CRITICAL', '', undefined].map(levelOf)).toEqual([
      'warn',
      'error',
      'info',
      'fatal',
      'unknown',
      'unknown',
    ]);
  });

  it('names the origin of a line', () => {
    expect(originOf({ pod: 'web-1', container: 'app' })).toBe('web-1/app');
    expect(originOf({ pod: 'web-1', container: 'web' })).toBe('web-1');
    expect(originOf({ _path: '/var/log/syslog' })).toBe('syslog');
    expect(originOf({})).toBe('');
  });

  it('tells lines of one stream and instant apart', () => {
    const record = { _stream_id: 's', _time: '2026-11-21T00:00:00Z', _msg: 'a' };
    expect(recordKey(record)).not.toBe(recordKey({ ...record, _msg: 'b' }));
    expect(recordKey({ ...record, _offset: '1' })).toBe(recordKey(record));
    expect(parseRecordKey(recordKey(record))).toEqual({
      stream: 's',
      time: '2026-11-21T00:00:00Z',
    });
    expect(parseRecordKey('nonsense')).toBeUndefined();
  });

  it('lists what a record says before where it is kept', () => {
    const fields = orderedFields({
      _stream_id: 's',
      b: '1',
      _msg: 'm',
      a: '',
      _time: 't',
      level: 'x',
    });
    expect(fields.map(([name]) => name)).toEqual(['_time', 'level', '_msg', 'b', '_stream_id']);
  });

  it('shows the fields of a record that has no message', () => {
    expect(messageOf({ _time: 't', a: '1', b: '' })).toBe('a=1');
  });

  it('finds the time that a line begins with', () => {
    const head = (text: string) => text.slice(0, printedTimeLength(text));
    expect(head('2026-11-21T02:38:19.042Z INFO x')).toBe('2026-11-21T02:38:19.042Z ');
    expect(head('2026-11-21 02:38:19,042 +0100 x')).toBe('2026-11-21 02:38:19,042 +0100 ');
    expect(head('[2026/11/21 02:38:19] x')).toBe('[2026/11/21 02:38:19] ');
    expect(head('W1121 02:44:43.282995       1 x')).toBe('W1121 02:44:43.282995       ');
    expect(head('Nov  1 02:38:19 host x')).toBe('Nov  1 02:38:19 ');
    expect(head('at 2026-11-21 02:38:19 x')).toBe('');
  });

  it('reads a line of JSON or logfmt as its message and the rest', () => {
    expect(structuredMessage('{"level":"info","msg":"done","ms":5,"u":"a b"}')).toEqual({
      message: 'done',
      rest: 'ms=5 u=a b',
    });
    expect(structuredMessage('ts=1 level=warn msg="wrong \\"x\\"" user=ada')).toEqual({
      message: 'wrong "x"',
      rest: 'user=ada',
    });
    expect(structuredMessage('a=b and then msg=c')).toBeUndefined();
    expect(structuredMessage('{"a":1}')).toBeUndefined();
    expect(structuredMessage('{not json}')).toBeUndefined();
    expect(structuredMessage('plain')).toBeUndefined();
  });

  it('puts answers of either direction in order, and keeps the order of equal instants', () => {
    const at = (time: string, text: string) => ({
      _time: `2026-11-21T00:00:0${time}Z`,
      _msg: text,
    });
    const written = [
      at('1', 'a'),
      at('1.5', 'b'),
      at('1.5', 'c'),
      at('1.500000001', 'd'),
      at('2', 'e'),
    ];
    const texts = (records: readonly { _msg: string }[]) => records.map((r) => r._msg).join('');
    expect(texts(oldestFirst(written) as typeof written)).toBe('abcde');
    expect(texts(oldestFirst(written.toReversed()) as typeof written)).toBe('abcde');
    expect(texts(newestFirst(written) as typeof written)).toBe('edcba');
    const instant = [at('1', 'z'), at('1', 'y')];
    expect(texts(newestFirst(instant) as typeof instant)).toBe('zy');
    expect(oldestFirst([])).toEqual([]);
  });
});
