import { Button, Group, Tooltip } from '@mantine/core';
import { IconPlayerPlayFilled, IconPlayerStopFilled, IconSearch, IconX } from '@tabler/icons-react';
import type { ApiError } from '../api/client';
import { navigate, useLocation } from '../app/location';
import type { Interval } from '../time/range';
import classes from './QueryBar.module.css';
import { QueryEditor } from './QueryEditor';
import { TimePicker } from './TimePicker';
import { useCompletionSource } from './useCompletionSource';

interface Props {
  draft: string;
  interval: Interval;
  error: ApiError | undefined;
  running: boolean;
  timeOpened: boolean;
  onTimeOpened: (opened: boolean) => void;
  onDraft: (text: string) => void;
  onSubmit: () => void;
  onCancel: () => void;
}

/** The query, its time range, and what to do with them. */
export function QueryBar(props: Props) {
  const { draft, interval, error, running } = props;
  const { search } = useLocation();
  const source = useCompletionSource(interval);
  const changed = draft.trim() !== search.query.trim();
  return (
    <div className={classes.bar} role="search" aria-label="Search logs">
      <div className={classes.box} data-failed={error ? true : undefined}>
        <QueryEditor
          value={draft}
          error={error}
          source={source}
          onChange={props.onDraft}
          onSubmit={props.onSubmit}
        />
        {error && <QueryError error={error} />}
      </div>
      <TimePicker
        interval={interval}
        opened={props.timeOpened}
        onOpenedChange={props.onTimeOpened}
      />
      <Group gap={6} wrap="nowrap">
        {running && !search.live ? (
          <Button
            size="xs"
            h={32}
            w={96}
            color="red"
            variant="light"
            leftSection={<IconX size={15} />}
            onClick={props.onCancel}
          >
            Cancel
          </Button>
        ) : (
          <Tooltip label={changed ? 'Search (Enter)' : 'Search again (Enter)'}>
            <Button
              size="xs"
              h={32}
              w={96}
              variant={changed ? 'filled' : 'light'}
              leftSection={<IconSearch size={15} />}
              onClick={props.onSubmit}
            >
              {search.live ? 'Apply' : 'Search'}
            </Button>
          </Tooltip>
        )}
        <Tooltip label={search.live ? 'Stop the live tail (l)' : 'Follow new lines (l)'}>
          <Button
            size="xs"
            h={32}
            variant={search.live ? 'filled' : 'default'}
            color={search.live ? 'green' : 'gray'}
            aria-pressed={search.live}
            leftSection={
              search.live ? <IconPlayerStopFilled size={13} /> : <IconPlayerPlayFilled size={13} />
            }
            onClick={() => navigate({ live: !search.live, query: draft.trim(), open: undefined })}
          >
            Live
          </Button>
        </Tooltip>
      </Group>
    </div>
  );
}

function QueryError({ error }: { error: ApiError }) {
  return (
    <div className={classes.error} role="alert" data-testid="query-error">
      <span>
        {error.message}
        {error.expected !== undefined && error.expected !== '' && (
          <>
            {' '}
            Expected: <code>{error.expected}</code>
          </>
        )}
      </span>
    </div>
  );
}
