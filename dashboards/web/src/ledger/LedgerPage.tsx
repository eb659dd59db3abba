import { Switch, TextInput } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import { IconAlertTriangle, IconCircleCheck, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { fetchLedger } from '../api/client';
import { FATES, type Amount, type Fate, type Ledger } from '../api/types';
import { formatBytes, formatCount } from '../time/format';
import classes from './LedgerPage.module.css';
import { StreamTable } from './StreamTable';
import { hasTrouble, streamName, verdictOf } from './verdict';

const REFRESH_MS = 5000;

export const FATE_LABELS: Record<Fate, string> = {
  stored: 'Stored',
  in_flight: 'In flight',
  shed: 'Shed by limits',
  lost: 'Lost',
};

/** Is anything lost, where, why. */
export default function LedgerPage() {
  const ledger = useQuery({
    queryKey: ['ledger'],
    queryFn: ({ signal }) => fetchLedger(signal),
    refetchInterval: REFRESH_MS,
  });
  useDocumentTitle('Ledger · Rookery');
  return (
    <main className={classes.page}>
      <div className={classes.inner}>
        {ledger.isPending && <div className={classes.note}>Reading the ledger…</div>}
        {ledger.isError && (
          <div className={classes.note} role="alert">
            The ledger cannot be read: {ledger.error.message}
          </div>
        )}
        {ledger.data && <LedgerView ledger={ledger.data} />}
      </div>
    </main>
  );
}

function LedgerView({ ledger }: { ledger: Ledger }) {
  const verdict = verdictOf(ledger);
  const [wanted, setWanted] = useState('');
  const [troubledOnly, setTroubledOnly] = useState(false);
  const streams = ledger.streams.filter(
    (stream) =>
      (!troubledOnly || hasTrouble(stream)) &&
      `${streamName(stream)} ${stream.path ?? ''} ${stream.stream}`
        .toLowerCase()
        .includes(wanted.toLowerCase()),
  );
  return (
    <>
      <section
        className={classes.verdict}
        data-bad={verdict.bad || undefined}
        role="status"
        data-testid="verdict"
      >
        {verdict.bad ? <IconAlertTriangle size={30} /> : <IconCircleCheck size={30} />}
        <div>
          <h1>{verdict.title}</h1>
          <p>{verdict.detail}</p>
        </div>
      </section>
      <Totals ledger={ledger} />
      <div className={classes.tools}>
        <h2>{formatCount(ledger.streams.length)} streams</h2>
        <TextInput
          size="xs"
          w={260}
          placeholder="Find a stream"
          aria-label="Find a stream"
          leftSection={<IconSearch size={14} />}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
        />
        <Switch
          size="xs"
          label="Only those with losses or a difference"
          checked={troubledOnly}
          onChange={(event) => setTroubledOnly(event.currentTarget.checked)}
        />
        {ledger.truncated && <span>Not all streams are listed.</span>}
      </div>
      {ledger.streams.length === 0 ? (
        <div className={classes.note}>
          No stream has been read yet. Streams appear here when the first line is collected.
        </div>
      ) : (
        <StreamTable streams={streams} />
      )}
    </>
  );
}

function Totals({ ledger }: { ledger: Ledger }) {
  const { totals } = ledger;
  return (
    <dl className={classes.totals} style={{ margin: 0 }} aria-label="Totals">
      <Total label="Read" amount={totals.read} />
      {FATES.map((fate, index) => (
        <Total
          key={fate}
          label={FATE_LABELS[fate]}
          amount={totals[fate]}
          sign={index === 0 ? '=' : '+'}
          bad={fate === 'lost' && totals[fate].records > 0}
        />
      ))}
      <Total label="Came twice, dropped" amount={totals.duplicates} apart />
    </dl>
  );
}

function Total(props: {
  label: string;
  amount: Amount;
  sign?: string;
  bad?: boolean;
  apart?: boolean;
}) {
  return (
    <div className={classes.total} data-bad={props.bad ? true : undefined} data-apart={props.apart}>
      {props.sign !== undefined && (
        <span className={classes.sign} aria-hidden="true">
          {props.sign}
        </span>
      )}
      <dt>{props.label}</dt>
      <dd>
        {formatCount(props.amount.records)}
        <small>{formatBytes(props.amount.bytes)}</small>
      </dd>
    </div>
  );
}
