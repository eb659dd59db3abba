import { ActionIcon, Tooltip } from '@mantine/core';
import { IconMinus, IconPlus } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useLocation } from '../app/location';
import { fetchFieldValues } from '../api/client';
import { parseQuery } from '../logsql/conditions';
import { levelOf } from '../records/record';
import { formatCount, formatShort } from '../time/format';
import { absoluteRange, type Interval } from '../time/range';
import classes from './FieldList.module.css';
import { useSearchActions } from './useSearchActions';

const TOP = 10;

/** The most frequent values of one field; a click on one searches for it. */
export function FieldValues(props: { field: string; filter: string; interval: Interval }) {
  const { field, filter, interval } = props;
  const range = absoluteRange(interval);
  const values = useQuery({
    queryKey: ['field-values', field, filter, range.from, range.to],
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      fetchFieldValues(
        { query: filter, field, start: range.from, end: range.to, limit: TOP },
        signal,
      ),
  });
  const top = (values.data?.values ?? []).toSorted((a, b) => b.hits - a.hits);
  const most = Math.max(1, ...top.map(({ hits }) => hits));
  if (values.isError) return <div className={classes.note}>{values.error.message}</div>;
  return (
    <div className={classes.values} role="list" aria-label={`Top values of ${field}`}>
      {values.isPending && <div className={classes.note}>…</div>}
      {values.isSuccess && top.length === 0 && <div className={classes.note}>No values.</div>}
      {top.map(({ value, hits }) => (
        <FieldValue key={value} field={field} value={value} hits={hits} share={hits / most} />
      ))}
    </div>
  );
}

function FieldValue(props: { field: string; value: string; hits: number; share: number }) {
  const { field, value, hits, share } = props;
  const { filterField } = useSearchActions();
  const { search } = useLocation();
  const current = parseQuery(search.query).conditions.find(
    (condition) => condition.field === field && condition.value === value,
  );
  const shown = value === '' ? '(none)' : value;
  return (
    <div className={classes.value} role="listitem">
      <span className={classes.bar} style={{ width: `${share * 100}%` }} />
      <button
        type="button"
        className={classes.label}
        data-active={current && !current.negated ? true : undefined}
        data-excluded={current?.negated ? true : undefined}
        onClick={() => filterField(field, value, false)}
        title={`${shown}: ${formatCount(hits)} records`}
        aria-label={`Only ${field} ${shown}, ${hits} records`}
      >
        {field === 'level' && (
          <span className={classes.dot} style={{ background: `var(--level-${levelOf(value)})` }} />
        )}
        {shown}
      </button>
      <span className={classes.count}>{formatShort(hits)}</span>
      <span className={classes.actions}>
        <FilterButtons field={field} value={value} />
      </span>
    </div>
  );
}

/** “Only this” and “not this”, wherever a value of a field is on show. */
export function FilterButtons({ field, value }: { field: string; value: string }) {
  const { filterField } = useSearchActions();
  return (
    <>
      <Tooltip label="Only this">
        <ActionIcon
          size={18}
          variant="subtle"
          color="gray"
          aria-label={`Add filter ${field} ${value}`}
          onClick={() => filterField(field, value, false)}
        >
          <IconPlus size={13} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label="Not this">
        <ActionIcon
          size={18}
          variant="subtle"
          color="gray"
          aria-label={`Exclude ${field} ${value}`}
          onClick={() => filterField(field, value, true)}
        >
          <IconMinus size={13} />
        </ActionIcon>
      </Tooltip>
    </>
  );
}
