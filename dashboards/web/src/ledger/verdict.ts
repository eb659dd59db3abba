// The ledger in one sentence: is anything lost, where, why.

import { FATES, type Ledger, type LedgerStream } from '../api/types';
import { formatCount } from '../time/format';

export interface Verdict {
  bad: boolean;
  title: string;
  detail: string;
}

export function hasTrouble(stream: LedgerStream): boolean {
  return !stream.balanced || stream.lost.records > 0 || stream.lost.bytes > 0;
}

/** What a person calls the stream: its pod and container, or its file. */
export function streamName(stream: LedgerStream): string {
  const { pod, container, namespace, service, app, unit } = stream.labels;
  if (pod) return [namespace, pod, container].filter(Boolean).join(' / ');
  return service ?? app ?? unit ?? stream.path?.split('/').at(-1) ?? stream.stream.slice(0, 12);
}

function reasons(streams: readonly LedgerStream[]): string {
  const counts = new Map<string, number>();
  for (const stream of streams) {
    for (const event of stream.events ?? []) {
      if (event.fate === 'lost')
        counts.set(event.reason, (counts.get(event.reason) ?? 0) + event.records);
    }
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, records]) => `${reason} (${formatCount(records)})`)
    .join(', ');
}

export function verdictOf(ledger: Ledger): Verdict {
  const { lost, shed, read, in_flight: inFlight } = ledger.totals;
  const troubled = ledger.streams.filter(hasTrouble);
  const unbalanced = troubled.filter((stream) => !stream.balanced).length;
  if (lost.records > 0 || lost.bytes > 0) {
    const why = reasons(ledger.streams);
    return {
      bad: true,
      title: `${formatCount(lost.records)} records are lost`,
      detail:
        `In ${formatCount(troubled.length)} of ${formatCount(ledger.streams.length)} streams` +
        (why === '' ? '.' : `, because of: ${why}.`),
    };
  }
  if (!ledger.balanced) {
    return {
      bad: true,
      title: 'The ledger does not balance',
      detail: `${formatCount(unbalanced)} streams have read other amounts than are accounted for.`,
    };
  }
  const waiting = inFlight.records > 0 ? ` ${formatCount(inFlight.records)} are on their way.` : '';
  const limited = shed.records > 0 ? ` ${formatCount(shed.records)} were shed by a limit.` : '';
  return {
    bad: false,
    title: 'Nothing is lost',
    detail: `Each of the ${formatCount(read.records)} records read is accounted for.${waiting}${limited}`,
  };
}

/** Read, less everything that became of it; zero when it balances. */
export function missing(stream: Pick<LedgerStream, 'read' | (typeof FATES)[number]>): number {
  return FATES.reduce((rest, fate) => rest - stream[fate].records, stream.read.records);
}
