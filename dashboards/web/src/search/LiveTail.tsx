import { Button } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconArrowDown, IconPlayerPauseFilled, IconPlayerPlayFilled } from '@tabler/icons-react';
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ApiError } from '../api/client';
import { useLocation } from '../app/location';
import { formatCount } from '../time/format';
import { DownloadMenu } from './DownloadMenu';
import empty from './EmptyResults.module.css';
import { RecordBrowser } from './RecordBrowser';
import { FieldsToggle, ViewToggles } from './ResultToolbar';
import classes from './SearchPage.module.css';
import { TailStore, type TailSnapshot } from './tailStore';

interface Props {
  query: string;
  fieldsShown: boolean;
  onFieldsShown: (shown: boolean) => void;
  onError: (error: ApiError | undefined) => void;
}

/** New lines as they are written, oldest on top, like `tail -f`. */
export function LiveTail({ query, fieldsShown, onFieldsShown, onError }: Props) {
  const [store] = useState(() => new TailStore());
  const tail = useSyncExternalStore(store.subscribe, store.getSnapshot);
  const { search } = useLocation();
  const [following, setFollowing] = useState(true);

  useEffect(() => {
    const controller = new AbortController();
    void store.follow(query, controller.signal);
    return () => controller.abort();
  }, [store, query]);

  useEffect(() => {
    onError(tail.error);
    return () => onError(undefined);
  }, [tail.error, onError]);

  useHotkeys([['Space', store.togglePause]], ['INPUT', 'TEXTAREA', 'SELECT', 'BUTTON', 'A']);

  return (
    <>
      <div className={classes.toolbar}>
        <FieldsToggle shown={fieldsShown} onChange={onFieldsShown} />
        <TailStatusText tail={tail} />
        <span className={classes.spacer} />
        {!following && !tail.paused && (
          <Button
            size="compact-xs"
            variant="light"
            leftSection={<IconArrowDown size={13} />}
            onClick={() => setFollowing(true)}
          >
            To the newest
          </Button>
        )}
        <Button
          size="compact-xs"
          variant={tail.paused ? 'filled' : 'default'}
          leftSection={
            tail.paused ? <IconPlayerPlayFilled size={12} /> : <IconPlayerPauseFilled size={12} />
          }
          onClick={store.togglePause}
        >
          {tail.paused
            ? `Resume${tail.pending > 0 ? ` (${formatCount(tail.pending)} new)` : ''}`
            : 'Pause'}
        </Button>
        <Button size="compact-xs" variant="subtle" color="gray" onClick={store.clear}>
          Clear
        </Button>
        <ViewToggles />
        <DownloadMenu rows={tail.rows} />
      </div>
      <div className={classes.results}>
        {tail.rows.length === 0 ? (
          <div className={empty.empty} data-testid="tail-empty">
            <h2>{tail.caughtUp ? 'End of logs' : 'Connecting…'}</h2>
            <p>Lines that match are shown here as they are written.</p>
          </div>
        ) : (
          <RecordBrowser
            rows={tail.rows}
            settled={true}
            follow={following && !tail.paused && search.open === undefined}
            onFollowChange={setFollowing}
            footer={<TailFooter tail={tail} />}
            label="Live log records, newest last"
          />
        )}
      </div>
    </>
  );
}

function TailFooter({ tail }: { tail: TailSnapshot }) {
  if (tail.paused)
    return <span>Paused{tail.pending > 0 && `, ${formatCount(tail.pending)} new`}</span>;
  if (tail.status === 'reconnecting') return <span>Connection lost, trying again…</span>;
  if (tail.caughtUp) return <span data-testid="end-of-logs">End of logs</span>;
  return <span>Receiving…</span>;
}

function TailStatusText({ tail }: { tail: TailSnapshot }) {
  const bad = tail.status === 'failed' || tail.status === 'reconnecting';
  const words = {
    connecting: 'Connecting…',
    open: tail.paused ? 'Paused' : tail.caughtUp ? 'Live · caught up' : 'Live',
    reconnecting: 'Connection lost, trying again…',
    failed: 'Stopped',
  }[tail.status];
  return (
    <span className={classes.live} role="status" data-testid="tail-status">
      <span
        className={classes.pulse}
        data-bad={bad || undefined}
        data-off={tail.paused || tail.status === 'connecting' || undefined}
      />
      <strong>{words}</strong>
      <span>
        {formatCount(tail.rows.length)} lines
        {tail.dropped > 0 && ` · ${formatCount(tail.dropped)} older ones no longer kept here`}
      </span>
    </span>
  );
}
