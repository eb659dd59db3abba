import { describe, expect, it } from 'vitest';
import { TailBuffer } from './tailBuffer';

const line = (text: string) => ({ _stream_id: 's', _time: '2026-11-21T00:00:00Z', _msg: text });

function texts(buffer: TailBuffer): string[] {
  return buffer.rows.map((record) => record['_msg'] ?? '');
}

describe('TailBuffer', () => {
  it('takes a line that both the first look and the tail brought once', () => {
    const buffer = new TailBuffer();
    buffer.prime([line('a'), line('b'), line('b')]);
    buffer.push([line('b'), line('b'), line('b'), line('c')]);
    expect(texts(buffer)).toEqual(['a', 'b', 'b', 'b', 'c']);
  });

  it('does not repeat lines after the connection opened again', () => {
    const buffer = new TailBuffer();
    buffer.push([line('a'), line('b')]);
    buffer.expectAgain();
    buffer.push([line('b'), line('c')]);
    expect(texts(buffer)).toEqual(['a', 'b', 'c']);
  });

  it('holds lines back while paused, and shows them in order after', () => {
    const buffer = new TailBuffer();
    buffer.push([line('a')]);
    buffer.pause();
    buffer.push([line('b'), line('c')]);
    expect([texts(buffer), buffer.pending]).toEqual([['a'], 2]);
    buffer.resume();
    expect([texts(buffer), buffer.pending]).toEqual([['a', 'b', 'c'], 0]);
  });

  it('keeps the newest lines and counts the others', () => {
    const buffer = new TailBuffer(2);
    buffer.push([line('a'), line('b'), line('c')]);
    buffer.pause();
    buffer.push([line('d'), line('e'), line('f')]);
    expect([texts(buffer), buffer.pending, buffer.dropped]).toEqual([['b', 'c'], 2, 2]);
  });
});
