import { describe, expect, it } from 'vitest';
import type { LogRecord } from '../api/types';
import { newestFirst } from '../records/record';
import { nextPage } from './paging';

const at = (nanos: string, text: string): LogRecord => ({
  _stream_id: 's',
  _time: `2026-11-21T00:00:00.${nanos}Z`,
  _msg: text,
});

/** What a server answers: the newest `limit` that are not after `end`. */
function ask(all: readonly LogRecord[], end: string, limit: number): LogRecord[] {
  return newestFirst(all.filter((record) => (record['_time'] ?? '') <= end)).slice(0, limit);
}

describe('nextPage', () => {
  const all = [
    at('000000001', 'a'),
    at('000000002', 'same'),
    at('000000002', 'same'),
    at('000000002', 'other'),
    at('000000002', 'same'),
    at('000000003', 'b'),
    at('000000004', 'c'),
    at('900000000', 'd'),
  ];

  it.each([1, 2, 3, 4, 5, 7, 100])('pages of %i give every record once, in order', (size) => {
    let rows = ask(all, '2026-11-21T00:00:01.000000000Z', size);
    for (let pages = 0; pages < 20; pages += 1) {
      const page = nextPage(rows);
      if (!page) throw new Error('no page');
      const fresh = page.fresh(ask(all, page.end, size + page.extra));
      expect(fresh.length).toBeLessThanOrEqual(size);
      if (fresh.length === 0) break;
      rows = [...rows, ...fresh];
    }
    expect(rows).toEqual(newestFirst(all));
  });

  it('is not possible without times', () => {
    expect(nextPage([{ n: '1' }])).toBeUndefined();
    expect(nextPage([])).toBeUndefined();
  });
});
