import { ActionIcon, Button, Group, Popover, Switch, TextInput, Tooltip } from '@mantine/core';
import {
  IconCalendar,
  IconChevronLeft,
  IconChevronRight,
  IconClock,
  IconZoomOut,
} from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { navigate, useLocation } from '../app/location';
import { formatEnd, formatInstant, zoneLabel } from '../time/format';
import {
  absoluteRange,
  normaliseEnd,
  parseInstant,
  QUICK_RANGES,
  relativeLabel,
  shiftRange,
  widenRange,
  type Interval,
  type TimeRange,
} from '../time/range';
import classes from './QueryBar.module.css';

interface Props {
  interval: Interval;
  opened: boolean;
  onOpenedChange: (opened: boolean) => void;
}

/** The time range: relative or absolute. Changing it changes nothing else of the search. */
export function TimePicker({ interval, opened, onOpenedChange }: Props) {
  const { search } = useLocation();
  const label =
    relativeLabel(search.range) ??
    `${formatEnd(interval.from, search.utc)} – ${
      search.range.to === 'now' ? 'now' : formatEnd(interval.to, search.utc)
    }`;
  const pick = (range: TimeRange) => {
    onOpenedChange(false);
    navigate({ range, live: false });
  };
  return (
    <Group gap={2} wrap="nowrap">
      <RangeButton label="Earlier" onClick={() => pick(shiftRange(interval, -1))}>
        <IconChevronLeft size={16} />
      </RangeButton>
      <Popover
        opened={opened}
        onChange={onOpenedChange}
        position="bottom-end"
        shadow="md"
        trapFocus
        returnFocus
      >
        <Popover.Target>
          <Button
            variant="default"
            size="xs"
            h={32}
            leftSection={<IconClock size={15} />}
            className={classes.tabular}
            onClick={() => onOpenedChange(!opened)}
            aria-label={`Time range: ${label}`}
            aria-expanded={opened}
            data-testid="time-range"
          >
            {label}
          </Button>
        </Popover.Target>
        <Popover.Dropdown p={0}>
          <div className={classes.range}>
            <AbsoluteForm key={String(opened)} interval={interval} onPick={pick} />
            <QuickRanges range={search.range} onPick={pick} />
          </div>
        </Popover.Dropdown>
      </Popover>
      <RangeButton label="Later" onClick={() => pick(shiftRange(interval, 1))}>
        <IconChevronRight size={16} />
      </RangeButton>
      <RangeButton label="Twice as long" onClick={() => pick(widenRange(interval, Date.now()))}>
        <IconZoomOut size={16} />
      </RangeButton>
    </Group>
  );
}

function RangeButton(props: { label: string; onClick: () => void; children: React.ReactNode }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={32}
        onClick={props.onClick}
        aria-label={props.label}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}

function QuickRanges(props: { range: TimeRange; onPick: (range: TimeRange) => void }) {
  return (
    <div className={classes.quick} role="list" aria-label="Relative ranges">
      {QUICK_RANGES.map(({ label, from }) => (
        <button
          type="button"
          key={from}
          aria-current={props.range.to === 'now' && props.range.from === from}
          onClick={() => props.onPick({ from, to: 'now' })}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

function AbsoluteForm(props: { interval: Interval; onPick: (range: TimeRange) => void }) {
  const { search } = useLocation();
  const written = (end: string, instant: number) =>
    end.startsWith('now') ? end : formatInstant(instant, search.utc);
  const [from, setFrom] = useState(() => written(search.range.from, props.interval.from));
  const [to, setTo] = useState(() => written(search.range.to, props.interval.to));
  const [error, setError] = useState<string>();

  const apply = () => {
    const now = Date.now();
    const range = {
      from: normaliseEnd(from, now, search.utc),
      to: normaliseEnd(to, now, search.utc),
    };
    if (range.from === undefined) setError('The first time cannot be read.');
    else if (range.to === undefined) setError('The second time cannot be read.');
    else if ((parseInstant(range.from, now, true) ?? 0) >= (parseInstant(range.to, now, true) ?? 0))
      setError('The range is empty: the first time is not before the second.');
    else props.onPick({ from: range.from, to: range.to });
  };
  return (
    <form
      className={classes.absolute}
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <EndInput label="From" value={from} utc={search.utc} onChange={setFrom} />
      <EndInput label="To" value={to} utc={search.utc} onChange={setTo} />
      {error !== undefined && (
        <div role="alert" style={{ color: 'var(--bad)', fontSize: 12 }}>
          {error}
        </div>
      )}
      <Group justify="space-between">
        <Switch
          size="xs"
          label="UTC"
          checked={search.utc}
          onChange={(event) => navigate({ utc: event.currentTarget.checked }, 'replace')}
        />
        <Button type="submit" size="xs">
          Apply
        </Button>
      </Group>
      {search.range.from.startsWith('now') && (
        <Button
          size="compact-xs"
          variant="subtle"
          style={{ alignSelf: 'flex-start' }}
          onClick={() => props.onPick(absoluteRange(props.interval))}
        >
          Keep to these times, for a link that does not move
        </Button>
      )}
      <div className={classes.hint}>
        2026-11-21 01:02:03.250, now-90m, 15m, Unix time. Without a zone:{' '}
        {zoneLabel(props.interval.to, search.utc)}.
      </div>
    </form>
  );
}

function EndInput(props: {
  label: string;
  value: string;
  utc: boolean;
  onChange: (value: string) => void;
}) {
  const calendar = useRef<HTMLInputElement>(null);
  return (
    <div style={{ position: 'relative' }}>
      <TextInput
        size="xs"
        label={props.label}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
        styles={{ input: { fontFamily: 'var(--mono)' } }}
        rightSection={
          <ActionIcon
            variant="subtle"
            color="gray"
            size="sm"
            aria-label={`Calendar for ${props.label}`}
            onClick={() => {
              calendar.current?.showPicker();
            }}
          >
            <IconCalendar size={14} />
          </ActionIcon>
        }
      />
      <input
        ref={calendar}
        type="datetime-local"
        step="1"
        tabIndex={-1}
        aria-hidden="true"
        className="visually-hidden"
        onChange={(event) => props.onChange(event.currentTarget.value.replace('T', ' '))}
      />
    </div>
  );
}
