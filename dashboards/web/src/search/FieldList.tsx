import { ActionIcon, TextInput, Tooltip } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import {
  IconChevronRight,
  IconColumnInsertRight,
  IconColumnRemove,
  IconSearch,
} from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { fetchFieldNames } from '../api/client';
import type { ValueHits } from '../api/types';
import { HOUSEKEEPING } from '../records/record';
import { formatCount, formatShort } from '../time/format';
import { absoluteRange, type Interval } from '../time/range';
import classes from './FieldList.module.css';
import { FieldValues } from './FieldValues';
import { useSearchActions } from './useSearchActions';

/** Where a record is from comes first, from wide to narrow; then its own fields, most frequent first. */
const KNOWN_FIRST = [
  'level',
  'cluster',
  'namespace',
  'workload',
  'pod',
  'container',
  'node',
  'source',
  '_path',
];
const HIDDEN = new Set(['_msg', '_time', ...HOUSEKEEPING]);

function ordered(fields: readonly ValueHits[]): ValueHits[] {
  const rank = (name: string) => {
    const index = KNOWN_FIRST.indexOf(name);
    if (index >= 0) return index;
    return KNOWN_FIRST.length + (name.startsWith('labels.') ? 1 : 0);
  };
  return fields
    .filter(({ value }) => !HIDDEN.has(value))
    .sort(
      (a, b) => rank(a.value) - rank(b.value) || b.hits - a.hits || a.value.localeCompare(b.value),
    );
}

/** The fields of what was found, each with its most frequent values on demand. */
export function FieldList({ filter, interval }: { filter: string; interval: Interval }) {
  const [wanted, setWanted] = useState('');
  const [open, setOpen] = useLocalStorage<string[]>({
    key: 'rookery.open-fields',
    defaultValue: ['level', 'namespace'],
    getInitialValueInEffect: false,
  });
  const range = absoluteRange(interval);
  const names = useQuery({
    queryKey: ['field-names', filter, range.from, range.to],
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      fetchFieldNames({ query: filter, start: range.from, end: range.to }, signal),
  });
  const fields = ordered(names.data?.values ?? []).filter(({ value }) =>
    value.toLowerCase().includes(wanted.toLowerCase()),
  );
  const toggle = (name: string) => {
    setOpen((now) => (now.includes(name) ? now.filter((one) => one !== name) : [...now, name]));
  };
  return (
    <aside className={classes.list} aria-label="Fields">
      <div className={classes.search}>
        <TextInput
          size="xs"
          placeholder="Find a field"
          aria-label="Find a field"
          leftSection={<IconSearch size={14} />}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
        />
      </div>
      <div className={classes.scroll}>
        {names.isSuccess && fields.length === 0 && <div className={classes.note}>No fields.</div>}
        {fields.map((field) => (
          <div key={field.value}>
            <FieldName
              field={field}
              opened={open.includes(field.value)}
              onToggle={() => toggle(field.value)}
            />
            {open.includes(field.value) && (
              <FieldValues field={field.value} filter={filter} interval={interval} />
            )}
          </div>
        ))}
      </div>
    </aside>
  );
}

function FieldName(props: { field: ValueHits; opened: boolean; onToggle: () => void }) {
  const { toggleColumn, columns } = useSearchActions();
  const { value: name, hits } = props.field;
  const shown = columns.includes(name);
  const label = shown ? `Hide the column ${name}` : `Show ${name} as a column`;
  return (
    <div className={classes.field}>
      <button
        type="button"
        className={classes.name}
        aria-expanded={props.opened}
        onClick={props.onToggle}
        title={name}
      >
        <IconChevronRight size={13} />
        <span>{name}</span>
      </button>
      <span className={classes.count} title={`in ${formatCount(hits)} records`}>
        {formatShort(hits)}
      </span>
      <span className={classes.actions} data-on={shown || undefined}>
        <Tooltip label={label}>
          <ActionIcon
            size="sm"
            variant="subtle"
            color={shown ? 'indigo' : 'gray'}
            aria-label={label}
            aria-pressed={shown}
            onClick={() => toggleColumn(name)}
          >
            {shown ? <IconColumnRemove size={14} /> : <IconColumnInsertRight size={14} />}
          </ActionIcon>
        </Tooltip>
      </span>
    </div>
  );
}
