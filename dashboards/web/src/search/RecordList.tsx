import { useVirtualizer } from '@tanstack/react-virtual';
import { IconX } from '@tabler/icons-react';
import { memo, useEffect, useRef } from 'react';
import type { LogRecord } from '../api/types';
import {
  levelOf,
  messageOf,
  originOf,
  printedTimeLength,
  structuredMessage,
  withoutAnsi,
} from '../records/record';
import { formatRowTime, timeOf, zoneLabel } from '../time/format';
import { Highlighted } from './Highlighted';
import classes from './RecordList.module.css';
import { useSearchActions } from './useSearchActions';

const ROW_PX = 22;
const HEAD_PX = 24;
const FOOTER_PX = 36;
/** A row shows at most this much of a line; the opened record shows it all. */
const ROW_CHARS = 2000;
const WRAPPED_CHARS = 10_000;

export interface RecordListProps {
  rows: readonly LogRecord[];
  columns: readonly string[];
  utc: boolean;
  wrap: boolean;
  stale?: boolean;
  highlight: RegExp | undefined;
  selected: number;
  onOpen: (index: number) => void;
  /** The arrow keys, while the list has the focus. */
  onStep: (by: -1 | 1) => void;
  /** Near the end of the rows: time to fetch more. */
  onEnd?: () => void;
  /** Keep the last row in view as rows arrive. */
  follow?: boolean;
  onFollowChange?: (follow: boolean) => void;
  footer?: React.ReactNode;
  label: string;
}

/** Log lines, as many as there are: only those in view exist in the page. */
export function RecordList(props: RecordListProps) {
  const { rows, columns, utc, wrap, selected, follow, onFollowChange, onEnd } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 16,
    scrollMargin: HEAD_PX,
    scrollPaddingStart: HEAD_PX,
    paddingEnd: FOOTER_PX,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;

  useEffect(() => {
    if (onEnd && rows.length > 0 && last >= rows.length - 1) onEnd();
  }, [last, rows.length, onEnd]);

  useEffect(() => {
    if (selected >= 0) virtual.scrollToIndex(selected, { align: 'auto' });
  }, [selected, virtual]);

  useEffect(() => {
    if (follow && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [follow, rows, rows.length]);

  useEffect(() => {
    virtual.measure();
  }, [wrap, virtual]);

  const showOrigin = columns.length === 0;
  return (
    <div
      ref={scroller}
      className={classes.list}
      style={{ '--columns': gridColumns(columns, showOrigin) } as React.CSSProperties}
      data-stale={props.stale ? true : undefined}
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={selected >= 0 ? `record-${selected}` : undefined}
      data-testid="records"
      onKeyDown={(event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key] as 1 | -1 | undefined;
        if (by === undefined) return;
        event.preventDefault();
        props.onStep(by);
      }}
      onScroll={(event) => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        if (scrollHeight - scrollTop - clientHeight < ROW_PX) onFollowChange?.(true);
        else if (scrollTop < lastTop.current) onFollowChange?.(false);
        lastTop.current = scrollTop;
      }}
    >
      <Head
        columns={columns}
        showOrigin={showOrigin}
        zone={zoneLabel(timeOf(rows[0]?.['_time']) || 0, utc)}
      />
      <div className={classes.space} style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const record = rows[item.index];
          if (!record) return null;
          return (
            <div
              key={item.key}
              ref={wrap ? virtual.measureElement : undefined}
              data-index={item.index}
              id={`record-${item.index}`}
              role="option"
              aria-selected={item.index === selected}
              aria-posinset={item.index + 1}
              aria-setsize={rows.length}
              className={classes.row}
              data-wrap={wrap || undefined}
              style={{ transform: `translateY(${item.start - HEAD_PX}px)` }}
              onClick={() => {
                // Text that is being selected is not a click on its row.
                if (window.getSelection()?.isCollapsed !== false) props.onOpen(item.index);
              }}
            >
              <RowCells
                record={record}
                columns={columns}
                showOrigin={showOrigin}
                utc={utc}
                highlight={props.highlight}
                limit={wrap ? WRAPPED_CHARS : ROW_CHARS}
              />
            </div>
          );
        })}
        <div className={classes.footer} style={{ top: virtual.getTotalSize() - FOOTER_PX }}>
          {props.footer}
        </div>
      </div>
    </div>
  );
}

function gridColumns(columns: readonly string[], showOrigin: boolean): string {
  const middle = showOrigin
    ? ['minmax(0, var(--origin))']
    : columns.map(() => 'minmax(64px, 160px)');
  return ['3px', '148px', ...middle, 'minmax(0, 1fr)'].join(' ');
}

function Head(props: { columns: readonly string[]; showOrigin: boolean; zone: string }) {
  const { toggleColumn } = useSearchActions();
  return (
    <div className={classes.head} role="presentation">
      <span />
      <span>Time ({props.zone})</span>
      {props.showOrigin && <span>Origin</span>}
      {props.columns.map((column) => (
        <span key={column}>
          {column}
          <button type="button" aria-label={`Hide ${column}`} onClick={() => toggleColumn(column)}>
            <IconX size={11} />
          </button>
        </span>
      ))}
      <span>Message</span>
    </div>
  );
}

const RowCells = memo(function RowCells(props: {
  record: LogRecord;
  columns: readonly string[];
  showOrigin: boolean;
  utc: boolean;
  highlight: RegExp | undefined;
  limit: number;
}) {
  const { record, columns, utc } = props;
  const level = levelOf(record['level']);
  const at = timeOf(record['_time']);
  const message = withoutAnsi(messageOf(record).slice(0, props.limit));
  return (
    <>
      <span
        className={classes.level}
        style={{ background: `var(--level-${level})` }}
        title={record['level'] || 'no level'}
      />
      <span className={classes.time}>{Number.isNaN(at) ? '' : formatRowTime(at, utc)}</span>
      {props.showOrigin && (
        <span className={classes.origin} title={record['_path']}>
          {originOf(record)}
        </span>
      )}
      {columns.map((column) => (
        <span key={column}>{record[column]}</span>
      ))}
      <span className={classes.message} data-level={level} data-message="">
        <MessageText text={message} pattern={props.highlight} />
      </span>
    </>
  );
});

/** A line that is a JSON object is read as its message, with the other members after it. */
function MessageText({ text, pattern }: { text: string; pattern: RegExp | undefined }) {
  const structured = structuredMessage(text);
  if (!structured) return <PlainText text={text} pattern={pattern} />;
  return (
    <>
      <Highlighted text={structured.message} pattern={pattern} />
      <span className={classes.members}>
        <Highlighted text={structured.rest} pattern={pattern} />
      </span>
    </>
  );
}

/** A line as it was printed; the time at its head is there, and does not ask to be read twice. */
function PlainText({ text, pattern }: { text: string; pattern: RegExp | undefined }) {
  const head = printedTimeLength(text);
  if (head === 0) return <Highlighted text={text} pattern={pattern} />;
  return (
    <>
      <span className={classes.printedTime}>{text.slice(0, head)}</span>
      <Highlighted text={text.slice(head)} pattern={pattern} />
    </>
  );
}
