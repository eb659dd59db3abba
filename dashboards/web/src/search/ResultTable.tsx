import { useVirtualizer } from '@tanstack/react-virtual';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useMemo, useRef, useState } from 'react';
import type { LogRecord } from '../api/types';
import { FilterButtons } from './FieldValues';
import classes from './ResultTable.module.css';
import { shortNumber, sortRows, tableColumns, type Sorting, type TableColumn } from './tableData';

const ROW_PX = 26;

/** The rows of a query that ends in statistics. */
export function ResultTable(props: { rows: readonly LogRecord[]; stale: boolean }) {
  const { rows } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [sorting, setSorting] = useState<Sorting>();
  const columns = useMemo(() => tableColumns(rows), [rows]);
  const sorted = useMemo(() => sortRows(rows, columns, sorting), [rows, columns, sorting]);
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 20,
  });
  const template = columns
    .map(({ chars, numeric }) => `minmax(${chars + (numeric ? 8 : 10)}ch, 1fr)`)
    .join(' ');
  return (
    <div
      ref={scroller}
      className={classes.scroll}
      data-stale={props.stale || undefined}
      tabIndex={0}
      role="region"
      aria-label="Table of results"
      data-testid="table"
    >
      <div
        className={classes.grid}
        style={{ '--columns': template } as React.CSSProperties}
        role="table"
        aria-rowcount={sorted.length}
      >
        <div className={classes.head} role="row">
          {columns.map((column) => (
            <HeadCell key={column.name} column={column} sorting={sorting} onSort={setSorting} />
          ))}
        </div>
        <div className={classes.space} style={{ height: virtual.getTotalSize() }} role="rowgroup">
          {virtual.getVirtualItems().map((item) => (
            <div
              key={item.key}
              className={classes.row}
              role="row"
              style={{ transform: `translateY(${item.start}px)` }}
            >
              {columns.map((column) => (
                <Cell
                  key={column.name}
                  column={column}
                  value={sorted[item.index]?.[column.name] ?? ''}
                />
              ))}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function HeadCell(props: {
  column: TableColumn;
  sorting: Sorting | undefined;
  onSort: (sorting: Sorting | undefined) => void;
}) {
  const { name, numeric } = props.column;
  const active = props.sorting?.name === name ? props.sorting : undefined;
  const sort = () => {
    if (!active) props.onSort({ name, descending: numeric });
    else if (active.descending === numeric) props.onSort({ name, descending: !numeric });
    else props.onSort(undefined);
  };
  return (
    <span
      role="columnheader"
      data-number={numeric || undefined}
      aria-sort={active ? (active.descending ? 'descending' : 'ascending') : 'none'}
    >
      <button type="button" onClick={sort}>
        {name}
        {active && (active.descending ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
      </button>
    </span>
  );
}

function Cell({ column, value }: { column: TableColumn; value: string }) {
  const share = column.numeric && column.max > 0 ? Math.abs(Number(value)) / column.max : 0;
  return (
    <span role="cell" data-number={column.numeric || undefined} title={value}>
      {share > 0 && <em style={{ width: `calc(${share} * (100% - 24px))` }} />}
      <b>{column.numeric ? shortNumber(value) : value}</b>
      {!column.numeric && value !== '' && (
        <span className={classes.actions}>
          <FilterButtons field={column.name} value={value} />
        </span>
      )}
    </span>
  );
}
