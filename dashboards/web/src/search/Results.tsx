import { Button } from '@mantine/core';
import { useCallback } from 'react';
import { searchAgain, useLocation } from '../app/location';
import { keepsRecords, parseQuery } from '../logsql/conditions';
import { formatCount } from '../time/format';
import type { Interval } from '../time/range';
import { EmptyResults } from './EmptyResults';
import empty from './EmptyResults.module.css';
import { RecordBrowser } from './RecordBrowser';
import { ROW_LIMIT, type ResultSnapshot } from './resultStore';
import { ResultTable } from './ResultTable';
import classes from './SearchPage.module.css';

interface Props {
  result: ResultSnapshot;
  interval: Interval;
  onMore: () => void;
}

/** What a search found: lines, a table, or nothing and why. */
export function Results({ result, interval, onMore }: Props) {
  const { search, searchedAt } = useLocation();
  const { rows, status } = result;
  const { more } = result;
  const onEnd = useCallback(() => {
    if (more && status === 'done') onMore();
  }, [more, status, onMore]);
  return (
    <div className={classes.results} aria-busy={status === 'running'}>
      {status === 'running' && (
        <div className={classes.progress} role="progressbar" aria-label="Searching" />
      )}
      {rows.length > 0 && isTable(search.query, result) && (
        <ResultTable rows={rows} stale={result.stale} />
      )}
      {rows.length > 0 && !isTable(search.query, result) && (
        <RecordBrowser
          key={searchedAt}
          rows={rows}
          stale={result.stale}
          settled={status !== 'running'}
          onEnd={onEnd}
          footer={footerText(result)}
          label="Log records, newest first"
        />
      )}
      {rows.length === 0 && status === 'done' && (
        <EmptyResults query={search.query} interval={interval} utc={search.utc} />
      )}
      {rows.length === 0 && (status === 'failed' || status === 'cancelled') && (
        <div className={empty.empty}>
          <h2>{status === 'failed' ? 'The search failed' : 'Cancelled'}</h2>
          {result.error && <p>{result.error.message}</p>}
          <Button size="xs" variant="default" onClick={searchAgain}>
            Search again
          </Button>
        </div>
      )}
    </div>
  );
}

function isTable(query: string, { rows }: ResultSnapshot): boolean {
  if (!keepsRecords(parseQuery(query).pipeNames)) return true;
  const first = rows[0];
  return first !== undefined && first['_msg'] === undefined && first['_time'] === undefined;
}

function footerText({ rows, status, more }: ResultSnapshot): string {
  if (status === 'running') return 'Loading…';
  if (more) return 'Scroll for more';
  if (status !== 'done') return '';
  if (rows.length >= ROW_LIMIT)
    return `These are the newest ${formatCount(ROW_LIMIT)}. Narrow the search to see older ones.`;
  return 'No more records';
}
