import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { Fragment, useState } from 'react';
import { FATES, type Amount, type LedgerStream } from '../api/types';
import { navigate, useLocation } from '../app/location';
import { DEFAULT_STATE, formatHash } from '../url/state';
import { formatBytes, formatCount, formatInstant, timeOf } from '../time/format';
import classes from './LedgerPage.module.css';
import { hasTrouble, missing, streamName } from './verdict';

/** More rows than this are not drawn; the search above narrows them. */
const SHOWN = 500;

function byTrouble(a: LedgerStream, b: LedgerStream): number {
  return (
    Number(hasTrouble(b)) - Number(hasTrouble(a)) ||
    b.shed.records - a.shed.records ||
    b.read.records - a.read.records
  );
}

/** The ledger stream by stream, those in trouble first. */
export function StreamTable({ streams }: { streams: readonly LedgerStream[] }) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string) => {
    const next = new Set(open);
    if (!next.delete(id)) next.add(id);
    setOpen(next);
  };
  const shown = streams.toSorted(byTrouble).slice(0, SHOWN);
  return (
    <>
      <table className={classes.table} data-testid="streams">
        <thead>
          <tr>
            <th>
              <span className="visually-hidden">Details</span>
            </th>
            <th>Stream</th>
            <th>Read</th>
            <th>Stored</th>
            <th>In flight</th>
            <th>Shed</th>
            <th>Lost</th>
            <th>Balance</th>
            <th>Came twice</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((stream) => (
            <Fragment key={stream.stream}>
              <StreamRow
                stream={stream}
                opened={open.has(stream.stream)}
                onToggle={() => toggle(stream.stream)}
              />
              {open.has(stream.stream) && <StreamDetails stream={stream} />}
            </Fragment>
          ))}
        </tbody>
      </table>
      {streams.length > SHOWN && (
        <div className={classes.note}>{formatCount(streams.length - SHOWN)} more streams.</div>
      )}
    </>
  );
}

function StreamRow(props: { stream: LedgerStream; opened: boolean; onToggle: () => void }) {
  const { stream } = props;
  const rest = missing(stream);
  return (
    <tr data-bad={hasTrouble(stream) || undefined}>
      <td>
        <button
          type="button"
          className={classes.expand}
          aria-expanded={props.opened}
          aria-label={`Details of ${streamName(stream)}`}
          onClick={props.onToggle}
        >
          {props.opened ? <IconChevronDown size={14} /> : <IconChevronRight size={14} />}
        </button>
      </td>
      <td>
        <StreamName stream={stream} />
      </td>
      <AmountCell amount={stream.read} />
      {FATES.map((fate) => (
        <AmountCell key={fate} amount={stream[fate]} bad={fate === 'lost'} />
      ))}
      <td>
        {stream.balanced ? (
          'balanced'
        ) : (
          <span className={classes.lost}>
            {rest === 0 ? 'not balanced' : `${formatCount(rest)} not accounted for`}
          </span>
        )}
      </td>
      <AmountCell amount={stream.duplicates} />
    </tr>
  );
}

function StreamName({ stream }: { stream: LedgerStream }) {
  const { search } = useLocation();
  const query = `_stream_id:${stream.stream}`;
  const href = formatHash({
    page: 'search',
    search: { ...DEFAULT_STATE, range: search.range, query },
  });
  return (
    <div className={classes.stream}>
      <a
        className={classes.name}
        href={href}
        title="Search this stream"
        onClick={(event) => {
          event.preventDefault();
          navigate({ page: 'search', query, open: undefined, live: false });
        }}
      >
        {streamName(stream)}
      </a>
      {stream.path && <span className={classes.path}>{stream.path}</span>}
    </div>
  );
}

function AmountCell({ amount, bad }: { amount: Amount; bad?: boolean }) {
  if (amount.records === 0 && amount.bytes === 0) return <td className={classes.zero}>0</td>;
  return (
    <td className={bad ? classes.lost : undefined} title={formatBytes(amount.bytes)}>
      {formatCount(amount.records)}
    </td>
  );
}

function StreamDetails({ stream }: { stream: LedgerStream }) {
  const { search } = useLocation();
  const events = stream.events ?? [];
  return (
    <tr>
      <td colSpan={9} className={classes.events}>
        {stream.why !== undefined && stream.why !== '' && (
          <p className={classes.why}>{stream.why}</p>
        )}
        <div className={classes.zero}>
          Stream <span className="mono">{stream.stream}</span>, generation{' '}
          <span className="mono">{stream.generation}</span>, read to byte{' '}
          {formatCount(stream.position)}
          {(stream.behind_bytes ?? 0) > 0 && ` (${formatBytes(stream.behind_bytes ?? 0)} to go)`},
          tenant {stream.tenant}
        </div>
        {events.length === 0 ? (
          <div>Nothing was shed or lost.</div>
        ) : (
          <table aria-label="What was not stored">
            <thead>
              <tr>
                <th>When</th>
                <th>What</th>
                <th>Why</th>
                <th>Records</th>
                <th>Bytes</th>
                <th>Range</th>
              </tr>
            </thead>
            <tbody>
              {events.map((event) => (
                <tr key={`${event.generation}-${event.start}-${event.end}-${event.reason}`}>
                  <td className="mono" style={{ whiteSpace: 'nowrap' }}>
                    {when(event.at, search.utc)}
                  </td>
                  <td>{event.fate}</td>
                  <td>{event.reason}</td>
                  <td>{formatCount(event.records)}</td>
                  <td>{formatBytes(event.bytes)}</td>
                  <td className="mono">
                    {event.generation}: {formatCount(event.start)} – {formatCount(event.end)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </td>
    </tr>
  );
}

function when(text: string, utc: boolean): string {
  const at = timeOf(text);
  return Number.isNaN(at) ? '' : formatInstant(at, utc);
}
