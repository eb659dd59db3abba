import { ActionIcon, NativeSelect, Tooltip } from '@mantine/core';
import { useInterval } from '@mantine/hooks';
import { IconLayoutSidebar, IconTextWrap, IconWorld } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { navigate, useLocation } from '../app/location';
import { parseQuery } from '../logsql/conditions';
import { formatCount, formatDuration } from '../time/format';
import { absoluteRange, type Interval } from '../time/range';
import { LIMITS } from '../url/state';
import { DownloadMenu } from './DownloadMenu';
import type { ResultSnapshot } from './resultStore';
import classes from './SearchPage.module.css';
import { useHits } from './useHits';

/** How many records, how long it took, and how they are shown. */
export function ResultToolbar(props: {
  result: ResultSnapshot;
  filter: string;
  interval: Interval;
  fieldsShown: boolean;
  onFieldsShown: (shown: boolean) => void;
}) {
  const { result, filter, interval } = props;
  const { search } = useLocation();
  const range = absoluteRange(interval);
  const query = search.query.trim() || '*';
  return (
    <div className={classes.toolbar}>
      <FieldsToggle shown={props.fieldsShown} onChange={props.onFieldsShown} />
      <span role="status" aria-live="polite" data-testid="summary">
        {result.status === 'running' ? (
          <Running result={result} />
        ) : (
          <Summary result={result} filter={filter} interval={interval} />
        )}
      </span>
      <span className={classes.spacer} />
      <NativeSelect
        size="xs"
        variant="unstyled"
        aria-label="Records at a time"
        value={String(search.limit)}
        data={LIMITS.map((n) => ({ value: String(n), label: `${formatCount(n)} at a time` }))}
        onChange={(event) => navigate({ limit: Number(event.currentTarget.value) })}
        styles={{ input: { fontSize: 12, color: 'var(--muted)' } }}
      />
      <ViewToggles />
      <DownloadMenu rows={result.rows} params={{ query, start: range.from, end: range.to }} />
    </div>
  );
}

export function FieldsToggle(props: { shown: boolean; onChange: (shown: boolean) => void }) {
  return (
    <Toggle
      label={props.shown ? 'Hide the fields' : 'Show the fields'}
      on={props.shown}
      onClick={() => props.onChange(!props.shown)}
    >
      <IconLayoutSidebar size={16} />
    </Toggle>
  );
}

/** Wrapping and the time zone, which searches and the live tail share. */
export function ViewToggles() {
  const { search } = useLocation();
  return (
    <>
      <Toggle
        label="Wrap long lines (w)"
        on={search.wrap}
        onClick={() => navigate({ wrap: !search.wrap }, 'replace')}
      >
        <IconTextWrap size={16} />
      </Toggle>
      <Toggle
        label={search.utc ? "Times in UTC. Show the browser's zone" : 'Show times in UTC'}
        on={search.utc}
        onClick={() => navigate({ utc: !search.utc }, 'replace')}
      >
        <IconWorld size={16} />
      </Toggle>
    </>
  );
}

function Toggle(props: {
  label: string;
  on: boolean;
  onClick: () => void;
  children: React.ReactNode;
}) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        size={26}
        variant={props.on ? 'light' : 'subtle'}
        color={props.on ? 'indigo' : 'gray'}
        aria-label={props.label}
        aria-pressed={props.on}
        className={classes.toggle}
        onClick={props.onClick}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}

/** Below this a running search needs no clock: it would only flicker. */
const CLOCK_AFTER_MS = 400;

function Running({ result }: { result: ResultSnapshot }) {
  const [elapsed, setElapsed] = useState(0);
  const { start, stop } = useInterval(() => setElapsed(Date.now() - result.startedAt), 100);
  useEffect(() => {
    start();
    return stop;
  }, [start, stop]);
  const count = result.stale ? 0 : result.rows.length;
  return (
    <>
      Searching…
      {elapsed > CLOCK_AFTER_MS && ` ${formatDuration(elapsed)}`}
      {count > 0 && ` · ${formatCount(count)} so far`}
    </>
  );
}

function Summary(props: { result: ResultSnapshot; filter: string; interval: Interval }) {
  const { result } = props;
  const { search } = useLocation();
  const { hits } = useHits(props.filter, props.interval);
  const total = hits.data?.hits.reduce((sum, series) => sum + series.total, 0);
  const plain = parseQuery(search.query).pipes === '';
  const count = result.rows.length;
  const known = plain && total !== undefined && !hits.isPlaceholderData && total >= count;
  return (
    <>
      <strong>{formatCount(count)}</strong>
      {known && total > count ? ` of ${formatCount(total)}` : ''}
      {plain ? ' records' : ' rows'}
      {result.elapsedMs !== undefined && ` · ${formatDuration(result.elapsedMs)}`}
      {result.status === 'cancelled' && ' · cancelled'}
      {result.status === 'failed' && ' · failed'}
      {result.unreadable > 0 &&
        ` · ${formatCount(result.unreadable)} lines of the answer could not be read`}
      {!plain && ' · the histogram counts the records before the pipes'}
    </>
  );
}
