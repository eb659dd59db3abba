import { useDocumentTitle, useHotkeys, useLocalStorage } from '@mantine/hooks';
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { ApiError } from '../api/client';
import { navigate, searchAgain, useLocation } from '../app/location';
import { addCondition, parseQuery, quote, withFieldValue } from '../logsql/conditions';
import { absoluteRange, resolveRange } from '../time/range';
import { ConditionChips } from './ConditionChips';
import { FieldList } from './FieldList';
import { Histogram } from './Histogram';
import { LiveTail } from './LiveTail';
import { rememberQuery } from './queryHistory';
import { QueryBar } from './QueryBar';
import { Results } from './Results';
import { results } from './resultStore';
import { ResultToolbar } from './ResultToolbar';
import classes from './SearchPage.module.css';
import { SearchActionsContext, type SearchActions } from './useSearchActions';

/** Rows of a query with pipes; they come in one answer. */
const TABLE_LIMIT = 10_000;

/** Log search: query, conditions, time, fields, histogram, records. */
export function SearchPage() {
  const { search, searchedAt } = useLocation();
  const { from, to } = search.range;
  const interval = useMemo(() => resolveRange({ from, to }, searchedAt), [from, to, searchedAt]);
  const parsed = useMemo(() => parseQuery(search.query), [search.query]);
  const filter = parsed.filter || '*';
  const [draft, setDraft] = useDraft(search.query);
  const [tailError, setTailError] = useState<ApiError>();
  useDocumentTitle(search.query === '' ? 'Logs · Rookery' : `${search.query} · Rookery`);
  const [timeOpened, setTimeOpened] = useState(false);
  const [fieldsShown, setFieldsShown] = useLocalStorage({
    key: 'rookery.fields-shown',
    defaultValue: window.innerWidth > 900,
    getInitialValueInEffect: false,
  });

  const result = useResults(interval);
  const actions = useActions(draft);
  const submit = () => {
    const query = draft.trim();
    rememberQuery(query);
    if (query === search.query) searchAgain();
    else actions.setQuery(query);
  };

  useHotkeys([
    ['/', focusQuery],
    ['t', () => setTimeOpened(true)],
    ['w', () => navigate({ wrap: !search.wrap }, 'replace')],
    ['l', () => navigate({ live: !search.live, open: undefined })],
  ]);

  return (
    <SearchActionsContext value={actions}>
      <main className={classes.page}>
        <h1 className="visually-hidden">Logs</h1>
        <QueryBar
          draft={draft}
          interval={interval}
          error={search.live ? tailError : result.error}
          running={result.status === 'running'}
          timeOpened={timeOpened}
          onTimeOpened={setTimeOpened}
          onDraft={setDraft}
          onSubmit={submit}
          onCancel={results.cancel}
        />
        <ConditionChips query={draft} onChange={actions.setQuery} />
        <div className={classes.main} data-fields={fieldsShown || undefined}>
          {fieldsShown && <FieldList filter={filter} interval={interval} />}
          <div className={classes.center}>
            {search.live ? (
              <LiveTail
                key={`${search.query}@${searchedAt}`}
                query={search.query || '*'}
                fieldsShown={fieldsShown}
                onFieldsShown={setFieldsShown}
                onError={setTailError}
              />
            ) : (
              <>
                <Histogram
                  filter={filter}
                  interval={interval}
                  utc={search.utc}
                  onZoom={(range) => navigate({ range })}
                />
                <ResultToolbar
                  result={result}
                  filter={filter}
                  interval={interval}
                  fieldsShown={fieldsShown}
                  onFieldsShown={setFieldsShown}
                />
                <Results result={result} interval={interval} onMore={results.loadMore} />
              </>
            )}
          </div>
        </div>
      </main>
    </SearchActionsContext>
  );
}

/** The text being written. It follows the address when that changes, as by the back button. */
function useDraft(query: string): [string, (text: string) => void] {
  const [draft, setDraft] = useState({ query, text: query });
  if (draft.query !== query) setDraft({ query, text: query });
  const set = useCallback((next: string) => setDraft({ query, text: next }), [query]);
  return [draft.query === query ? draft.text : query, set];
}

function useResults(interval: { from: number; to: number }) {
  const { search } = useLocation();
  const result = useSyncExternalStore(results.subscribe, results.getSnapshot);
  const { query, limit, live } = search;
  useEffect(() => {
    if (live) return;
    const range = absoluteRange(interval);
    const pageable = parseQuery(query).pipes === '';
    results.start({
      query: query || '*',
      start: range.from,
      end: range.to,
      limit: pageable ? limit : TABLE_LIMIT,
      pageable,
    });
    return () => results.abort();
  }, [query, limit, live, interval]);
  return result;
}

/** Clicks edit the text as it stands in the editor, so that what is typed is not lost. */
function useActions(draft: string): SearchActions {
  const { search } = useLocation();
  const { columns } = search;
  return useMemo(() => {
    const setQuery = (query: string) => navigate({ query, open: undefined });
    return {
      setQuery,
      filterField: (field, value, negated) =>
        setQuery(withFieldValue(draft, field, value, negated)),
      filterContent: (text, negated) =>
        setQuery(addCondition(draft, `${negated ? '-' : ''}${quote(text)}`)),
      toggleColumn: (field) =>
        navigate(
          {
            columns: columns.includes(field)
              ? columns.filter((name) => name !== field)
              : [...columns, field],
          },
          'replace',
        ),
      columns,
    };
  }, [draft, columns]);
}

function focusQuery(): void {
  document.querySelector<HTMLElement>('[data-testid="query"] .cm-content')?.focus();
}
