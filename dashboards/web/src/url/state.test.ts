import { describe, expect, it } from 'vitest';
import { DEFAULT_STATE, formatHash, parseHash, type SearchState } from './state';

describe('the address', () => {
  it('keeps every part of the state', () => {
    const search: SearchState = {
      query: 'a:="b & c" #é | stats count()',
      range: { from: '2026-11-21T01:02:03.004Z', to: '2026-11-21T02:00:00.000Z' },
      limit: 10_000,
      columns: ['pod', 'k v'],
      utc: true,
      wrap: true,
      live: true,
      open: 'ab@2026-11-21T01:02:03.004Z@x',
      tab: 'context',
    };
    expect(parseHash(formatHash({ page: 'search', search }))).toEqual({ page: 'search', search });
  });

  it('is short for the defaults', () => {
    expect(formatHash({ page: 'search', search: DEFAULT_STATE })).toBe('#/search');
    expect(formatHash({ page: 'ledger', search: DEFAULT_STATE })).toBe('#/ledger');
    expect(parseHash('')).toEqual({ page: 'search', search: DEFAULT_STATE });
  });

  it('reads nonsense as the defaults', () => {
    const { page, search } = parseHash('#/nowhere?limit=7&tz=mars&tab=x&col=');
    expect(page).toBe('search');
    expect(search).toEqual(DEFAULT_STATE);
  });
});
