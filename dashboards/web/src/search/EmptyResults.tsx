import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { collectLogs } from '../api/client';
import { navigate } from '../app/location';
import { parseQuery, removeCondition } from '../logsql/conditions';
import { formatDuration, formatInstant, timeOf } from '../time/format';
import { widenRange, type Interval } from '../time/range';
import { CopyAction } from './CopyAction';
import classes from './EmptyResults.module.css';

/** Nothing was found: why that may be, and what to do next. */
export function EmptyResults(props: { query: string; interval: Interval; utc: boolean }) {
  const { query, interval, utc } = props;
  const newest = useQuery({
    queryKey: ['newest', interval.to],
    queryFn: ({ signal }) => collectLogs({ query: '*', limit: 1 }, signal),
  });
  if (newest.isPending) return null;
  const record = newest.data?.[0];
  if (newest.isSuccess && !record) return <NoLogsYet />;
  const { conditions } = parseQuery(query);
  const at = timeOf(record?.['_time']);
  const outside = !Number.isNaN(at) && (at < interval.from || at > interval.to);
  return (
    <div className={classes.empty} data-testid="empty">
      <h2>Nothing found</h2>
      <p>
        {conditions.length > 0
          ? 'No record in this time range meets all the conditions.'
          : 'There is no record in this time range.'}{' '}
        {outside && (
          <>
            The newest record is of {formatInstant(at, utc)}, {age(at, interval)}.
          </>
        )}
      </p>
      <div className={classes.actions}>
        <Button
          size="xs"
          variant="default"
          onClick={() => navigate({ range: widenRange(interval, Date.now()) })}
        >
          Twice the time
        </Button>
        <Button
          size="xs"
          variant="default"
          onClick={() => navigate({ range: { from: 'now-7d', to: 'now' } })}
        >
          Last 7 days
        </Button>
        {outside && (
          <Button
            size="xs"
            variant="default"
            onClick={() =>
              navigate({
                range: {
                  from: new Date(at - 1_800_000).toISOString(),
                  to: new Date(at + 1000).toISOString(),
                },
              })
            }
          >
            Go to the newest
          </Button>
        )}
        {conditions.length > 0 &&
          conditions.slice(0, 6).map((condition) => (
            <Button
              key={condition.start}
              size="xs"
              variant="light"
              onClick={() => navigate({ query: removeCondition(query, condition) })}
            >
              Without {query.slice(condition.start, condition.end)}
            </Button>
          ))}
      </div>
    </div>
  );
}

function age(at: number, interval: Interval): string {
  if (at < interval.from) return `${formatDuration(interval.from - at)} before the range`;
  return `${formatDuration(at - interval.to)} after the range`;
}

const WAYS: readonly { title: string; command: string }[] = [
  {
    title: 'Read the log files of this machine',
    command: "rookery standalone --logs '/var/log/**/*.log'",
  },
  { title: 'Read the pods of this node', command: 'rookery standalone --pod-logs /var/log/pods' },
  { title: 'See it at work without any logs', command: 'rookery demo' },
];

function NoLogsYet() {
  const push =
    `echo '{"_msg":"hello","level":"info","app":"demo"}' | ` +
    `curl --data-binary @- '${window.location.origin}/insert/jsonline?_stream_fields=app'`;
  return (
    <div className={classes.empty} data-testid="no-logs">
      <h2>No logs yet</h2>
      <p>
        Rookery is running, and nothing has been stored so far. A line is found here within a second
        of being written.
      </p>
      <div className={classes.how}>
        {[...WAYS, { title: 'Send a line by hand', command: push }].map(({ title, command }) => (
          <div key={title}>
            {title}
            <div className={classes.command}>
              <code>{command}</code>
              <CopyAction value={command} label="Copy the command" />
            </div>
          </div>
        ))}
      </div>
    </div>
  );
}
