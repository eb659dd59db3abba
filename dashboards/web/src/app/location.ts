// The address as a store. Components read it with `useLocation` and change it with `navigate`;
// the browser's back and forward buttons change it too, and everybody follows. It also holds the
// instant at which the current search was asked for: relative ranges are resolved against that
// instant, so the records, the histogram and the field counts of one search agree.

import { useSyncExternalStore } from 'react';
import {
  formatHash,
  parseHash,
  type Location,
  type PageName,
  type SearchState,
} from '../url/state';

export interface Snapshot extends Location {
  /** Milliseconds since 1970 at which this search was started. */
  searchedAt: number;
}

function sameSearch(a: SearchState, b: SearchState): boolean {
  return (
    a.query === b.query &&
    a.range.from === b.range.from &&
    a.range.to === b.range.to &&
    a.limit === b.limit &&
    a.live === b.live
  );
}

/** `/ledger` is a good address to type or to put into an alert; it leads to the page of that name. */
if (window.location.hash === '' && /\/ledger\/?$/.test(window.location.pathname)) {
  window.history.replaceState(null, '', '#/ledger');
}

let snapshot: Snapshot = { ...parseHash(window.location.hash), searchedAt: Date.now() };
const listeners = new Set<() => void>();

function publish(next: Snapshot): void {
  snapshot = next;
  for (const listener of listeners) listener();
}

function follow(): void {
  const location = parseHash(window.location.hash);
  const same = sameSearch(location.search, snapshot.search);
  publish({ ...location, searchedAt: same ? snapshot.searchedAt : Date.now() });
}

window.addEventListener('popstate', follow);
window.addEventListener('hashchange', follow);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useLocation(): Snapshot {
  return useSyncExternalStore(subscribe, () => snapshot);
}

/** Changes parts of the state. `replace` for what should not be a step of the back button. */
export function navigate(
  change: Partial<SearchState> & { page?: PageName },
  mode: 'push' | 'replace' = 'push',
): void {
  const { page, ...search } = change;
  const hash = formatHash({
    page: page ?? snapshot.page,
    search: { ...snapshot.search, ...search },
  });
  if (hash === window.location.hash) return;
  if (mode === 'push') window.history.pushState(null, '', hash);
  else window.history.replaceState(null, '', hash);
  follow();
}

/** Runs the search as it stands again, with a relative range ending now. */
export function searchAgain(): void {
  publish({ ...snapshot, searchedAt: Date.now() });
}
