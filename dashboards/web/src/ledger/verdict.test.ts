import { describe, expect, it } from 'vitest';
import type { Amount, Ledger, LedgerStream } from '../api/types';
import { missing, streamName, verdictOf } from './verdict';

const amount = (records: number): Amount => ({ records, bytes: records * 100 });

function totals(read: number, lost: number, inFlight = 0) {
  return {
    read: amount(read),
    stored: amount(read - lost - inFlight),
    in_flight: amount(inFlight),
    duplicates: amount(0),
    shed: amount(0),
    lost: amount(lost),
  };
}

function stream(lost: number, balanced = true): LedgerStream {
  return {
    stream: 'abcdef0123456789',
    tenant: 'default',
    labels: { namespace: 'prod', pod: 'web-1', container: 'app' },
    generation: '1',
    position: 5,
    balanced,
    ...totals(10, lost),
    events:
      lost > 0
        ? [
            {
              fate: 'lost',
              reason: 'gap',
              generation: '1',
              start: 0,
              end: 9,
              records: lost,
              bytes: 9,
              at: '',
            },
          ]
        : [],
  };
}

function ledger(streams: LedgerStream[], lost: number, balanced = true): Ledger {
  return { balanced, totals: totals(20, lost), streams, truncated: false };
}

describe('verdictOf', () => {
  it('says that nothing is lost', () => {
    const verdict = verdictOf(ledger([stream(0)], 0));
    expect(verdict.bad).toBe(false);
    expect(verdict.detail).toContain('20 records');
  });

  it('says how much is lost, where and why', () => {
    const verdict = verdictOf(ledger([stream(3), stream(0)], 3));
    expect(verdict).toEqual({
      bad: true,
      title: '3 records are lost',
      detail: 'In 1 of 2 streams, because of: gap (3).',
    });
  });

  it('does not call an unbalanced ledger good', () => {
    expect(verdictOf(ledger([stream(0, false)], 0, false)).bad).toBe(true);
  });
});

describe('streams', () => {
  it('have names', () => {
    expect(streamName(stream(0))).toBe('prod / web-1 / app');
    expect(streamName({ ...stream(0), labels: {}, path: '/var/log/syslog' })).toBe('syslog');
    expect(streamName({ ...stream(0), labels: {} })).toBe('abcdef012345');
  });

  it('balance when nothing is missing', () => {
    expect(missing(totals(10, 3, 2))).toBe(0);
    expect(missing({ ...totals(10, 0), read: amount(12) })).toBe(2);
  });
});
