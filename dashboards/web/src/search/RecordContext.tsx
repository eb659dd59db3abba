import { Button } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { collectLogs } from '../api/client';
import type { LogRecord } from '../api/types';
import { navigate, useLocation } from '../app/location';
import { levelOf, messageOf, recordKey, withoutAnsi } from '../records/record';
import { formatInstant, timeOf } from '../time/format';
import { absoluteRange } from '../time/range';
import classes from './RecordPanel.module.css';

const STEP = 10;
const CONTEXT_LIMIT = 500;
/** Around the record in “open the stream here”. */
const AROUND_MS = 300_000;

/** The lines of the same stream just before and just after the record, in the order written. */
export function RecordContext({ record }: { record: LogRecord }) {
  const { search } = useLocation();
  const [before, setBefore] = useState(STEP);
  const [after, setAfter] = useState(STEP);
  const stream = record['_stream_id'] ?? '';
  const time = record['_time'] ?? '';
  const context = useQuery({
    queryKey: ['context', stream, time, before, after],
    enabled: stream !== '' && time !== '',
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => fetchContext(stream, time, before, after, signal),
  });
  if (stream === '' || time === '')
    return <div className={classes.more}>This row is not a log line: it has no surroundings.</div>;
  if (context.isError) return <div className={classes.more}>{context.error.message}</div>;
  if (context.isPending) return <div className={classes.more}>Reading the stream…</div>;
  const rows = context.data;
  const key = recordKey(record);
  const at = timeOf(time);
  return (
    <>
      <div className={classes.more}>
        <Button
          size="compact-xs"
          variant="default"
          disabled={before >= CONTEXT_LIMIT}
          onClick={() => setBefore(before + STEP * 2)}
        >
          More before
        </Button>
        <Button
          size="compact-xs"
          variant="subtle"
          onClick={() =>
            navigate({
              query: `_stream_id:${stream}`,
              range: absoluteRange({ from: at - AROUND_MS, to: at + AROUND_MS }),
              live: false,
            })
          }
        >
          Search this stream around here
        </Button>
      </div>
      <div className={classes.context} role="list" aria-label="Lines around the record">
        {rows.map((row, index) => (
          <ContextLine
            key={`${recordKey(row)}-${index}`}
            row={row}
            current={recordKey(row) === key}
            utc={search.utc}
          />
        ))}
      </div>
      <div className={classes.more}>
        <Button
          size="compact-xs"
          variant="default"
          disabled={after >= CONTEXT_LIMIT}
          onClick={() => setAfter(after + STEP * 2)}
        >
          More after
        </Button>
      </div>
    </>
  );
}

function ContextLine({ row, current, utc }: { row: LogRecord; current: boolean; utc: boolean }) {
  const at = timeOf(row['_time']);
  const line = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (current) line.current?.scrollIntoView({ block: 'center' });
  }, [current]);
  return (
    <div ref={line} role="listitem" aria-current={current || undefined}>
      <span style={{ background: `var(--level-${levelOf(row['level'])})` }} />
      <span style={{ color: 'var(--muted)' }}>
        {Number.isNaN(at) ? '' : formatInstant(at, utc).slice(11)}
      </span>
      <span>{withoutAnsi(messageOf(row).slice(0, 10_000))}</span>
    </div>
  );
}

async function fetchContext(
  stream: string,
  time: string,
  before: number,
  after: number,
  signal: AbortSignal,
): Promise<LogRecord[]> {
  const query = `_stream_id:${stream} _time:${time} | stream_context before ${before} after ${after}`;
  const rows = await collectLogs({ query }, signal);
  // A separator between the surroundings of several lines is not a line.
  return rows.filter((row) => (row['_stream_id'] ?? '') !== '' || (row['_msg'] ?? '') !== '---');
}
