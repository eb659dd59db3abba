// The queries that were run in this browser, newest first. They stay in the browser: a query may hold
// what its author would not show to others.

const KEY = 'rookery.queries';
const KEPT = 30;

export function rememberQuery(query: string): void {
  if (query === '') return;
  const others = earlierQueries().filter((one) => one !== query);
  write([query, ...others].slice(0, KEPT));
}

export function earlierQueries(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((one): one is string => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

function write(queries: readonly string[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(queries));
  } catch {
    // Storage is full or forbidden: the history is a convenience, the search goes on.
  }
}
