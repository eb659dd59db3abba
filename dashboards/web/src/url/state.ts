// Everything that a person would want to share or come back to, in the fragment of the address:
// `#/search?q=…&from=now-1h&to=now`. The fragment, because it needs nothing of the server and works
// behind any proxy prefix. Defaults are left out, so a plain address stays short.

import { DEFAULT_RANGE, type TimeRange } from '../time/range';

export type PageName = 'search' | 'ledger';

export const LIMITS: readonly number[] = [1000, 10_000, 100_000];
export const DEFAULT_LIMIT = 1000;

export interface SearchState {
  query: string;
  range: TimeRange;
  /** Records asked for at a time. */
  limit: number;
  /** Fields shown as columns before the message. */
  columns: string[];
  /** Times in UTC and not in the browser's zone. */
  utc: boolean;
  wrap: boolean;
  /** Live tail instead of a search. */
  live: boolean;
  /** The record that is opened, by `recordKey`. */
  open: string | undefined;
  tab: RecordTab;
}

export const RECORD_TABS = ['fields', 'context', 'json'] as const;
export type RecordTab = (typeof RECORD_TABS)[number];

export interface Location {
  page: PageName;
  search: SearchState;
}

export const DEFAULT_STATE: SearchState = {
  query: '',
  range: DEFAULT_RANGE,
  limit: DEFAULT_LIMIT,
  columns: [],
  utc: false,
  wrap: false,
  live: false,
  open: undefined,
  tab: 'fields',
};

/** Reads a fragment. Anything that is not understood becomes its default: a link never fails. */
export function parseHash(hash: string): Location {
  const text = hash.replace(/^#\/?/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const params = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  const limit = Number(params.get('limit'));
  const tab = RECORD_TABS.find((name) => name === params.get('tab'));
  return {
    page: path === 'ledger' ? 'ledger' : 'search',
    search: {
      query: params.get('q') ?? '',
      range: {
        from: params.get('from') ?? DEFAULT_RANGE.from,
        to: params.get('to') ?? DEFAULT_RANGE.to,
      },
      limit: LIMITS.includes(limit) ? limit : DEFAULT_LIMIT,
      columns: params.getAll('col').filter((name) => name !== ''),
      utc: params.get('tz') === 'utc',
      wrap: params.get('wrap') === '1',
      live: params.get('live') === '1',
      open: params.get('open') ?? undefined,
      tab: tab ?? 'fields',
    },
  };
}

export function formatHash({ page, search }: Location): string {
  const params = new URLSearchParams();
  if (search.query !== '') params.set('q', search.query);
  if (search.range.from !== DEFAULT_RANGE.from || search.range.to !== DEFAULT_RANGE.to) {
    params.set('from', search.range.from);
    params.set('to', search.range.to);
  }
  if (search.limit !== DEFAULT_LIMIT) params.set('limit', String(search.limit));
  for (const column of search.columns) params.append('col', column);
  if (search.utc) params.set('tz', 'utc');
  if (search.wrap) params.set('wrap', '1');
  if (search.live) params.set('live', '1');
  if (search.open !== undefined) params.set('open', search.open);
  if (search.open !== undefined && search.tab !== 'fields') params.set('tab', search.tab);
  const text = params.toString();
  return `#/${page}${text === '' ? '' : `?${text}`}`;
}
