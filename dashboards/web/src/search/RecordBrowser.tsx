import { useHotkeys } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { collectLogs } from '../api/client';
import type { LogRecord } from '../api/types';
import { navigate, useLocation } from '../app/location';
import { highlightPattern } from '../logsql/conditions';
import { parseRecordKey, recordKey } from '../records/record';
import { usePanelWidth } from './PanelResizer';
import { RecordList, type RecordListProps } from './RecordList';
import { RecordPanel } from './RecordPanel';
import classes from './SearchPage.module.css';
import { SelectionActions } from './SelectionActions';

type ListProps = Pick<
  RecordListProps,
  'rows' | 'stale' | 'onEnd' | 'follow' | 'onFollowChange' | 'footer' | 'label'
>;

/** A list of records and the opened one beside it, with the keys that go through them. */
export function RecordBrowser(props: ListProps & { settled: boolean }) {
  const { rows, settled, ...list } = props;
  const { search } = useLocation();
  const [cursor, setCursor] = useState(-1);
  const [panelWidth, setPanelWidth] = usePanelWidth();
  const highlight = useMemo(() => highlightPattern(search.query), [search.query]);
  const openIndex = useMemo(() => indexOfKey(rows, search.open), [rows, search.open]);
  const elsewhere = useRecordByKey(settled && openIndex < 0 ? search.open : undefined);
  const opened = rows[openIndex] ?? (search.open === undefined ? undefined : elsewhere);
  const selected = openIndex >= 0 ? openIndex : Math.min(cursor, rows.length - 1);

  const show = (index: number, mode: 'push' | 'replace') => {
    const record = rows[index];
    if (!record) return;
    setCursor(index);
    navigate({ open: recordKey(record) }, mode);
  };
  const step = (by: -1 | 1) => {
    const next = Math.max(0, Math.min(rows.length - 1, selected + by));
    if (opened) show(next, 'replace');
    else setCursor(next);
  };
  const close = () => {
    if (search.open !== undefined) navigate({ open: undefined });
  };
  const toggle = (index: number) => {
    if (index === openIndex) close();
    else show(index, opened ? 'replace' : 'push');
  };
  const context = () => {
    const record = rows[selected];
    if (record) navigate({ open: recordKey(record), tab: 'context' });
  };

  useHotkeys([
    ['j', () => step(1)],
    ['k', () => step(-1)],
    ['o', () => toggle(selected)],
    ['c', context],
    ['Escape', close],
  ]);
  useHotkeys([['Enter', () => toggle(selected)]], ['INPUT', 'TEXTAREA', 'SELECT', 'BUTTON', 'A']);

  return (
    <div
      className={classes.browser}
      data-open={opened ? true : undefined}
      style={{ '--panel-width': `${panelWidth}px` } as React.CSSProperties}
    >
      <RecordList
        {...list}
        rows={rows}
        columns={search.columns}
        utc={search.utc}
        wrap={search.wrap}
        highlight={highlight}
        selected={selected}
        onOpen={toggle}
        onStep={step}
      />
      {opened && (
        <RecordPanel
          record={opened}
          highlight={highlight}
          onStep={step}
          onClose={close}
          width={panelWidth}
          onWidth={setPanelWidth}
        />
      )}
      <SelectionActions />
    </div>
  );
}

/** The row of a key. Time and stream are compared first: they are cheaper than the whole key. */
function indexOfKey(rows: readonly LogRecord[], key: string | undefined): number {
  if (key === undefined) return -1;
  const [stream, time] = key.split('@');
  return rows.findIndex(
    (row) =>
      (row['_time'] ?? '') === time &&
      (row['_stream_id'] ?? '') === stream &&
      recordKey(row) === key,
  );
}

/** A record that a link points to but that is not among the rows. */
function useRecordByKey(key: string | undefined): LogRecord | undefined {
  const place = key === undefined ? undefined : parseRecordKey(key);
  const found = useQuery({
    queryKey: ['record', key],
    enabled: place !== undefined,
    staleTime: Infinity,
    queryFn: async ({ signal }) => {
      const query = `_stream_id:${place?.stream ?? ''} _time:${place?.time ?? ''}`;
      const records = await collectLogs({ query, limit: 100 }, signal);
      return records.find((record) => recordKey(record) === key) ?? null;
    },
  });
  return found.data ?? undefined;
}
