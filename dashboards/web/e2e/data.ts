// Records that the tests push: few enough to know each count, and recent enough for `now-3h`.

import type { Json } from './rookery';

const MINUTE_MS = 60_000;

/** An instant so many minutes ago, with nanoseconds. */
export function minutesAgo(minutes: number, nanos = '000000'): string {
  return new Date(Date.now() - minutes * MINUTE_MS).toISOString().replace('Z', `${nanos}Z`);
}

function record(
  minutes: number,
  level: string,
  pod: string,
  message: string,
  more: Json = {},
): Json {
  return {
    _time: minutesAgo(minutes),
    _msg: message,
    level,
    namespace: pod.startsWith('web') ? 'shop' : 'billing',
    pod,
    container: 'app',
    ...more,
  };
}

/** 60 records: 40 info of web-1, 10 warn and 10 error of pay-1, over two hours. */
export function shopRecords(): Json[] {
  const records: Json[] = [];
  for (let n = 0; n < 40; n += 1) {
    records.push(record(120 - n * 2, 'info', 'web-1', `order ${n} accepted`, { status: '200' }));
  }
  for (let n = 0; n < 10; n += 1) {
    records.push(record(20 - n, 'warn', 'pay-1', `retrying charge ${n}`, { status: '429' }));
    records.push(
      record(19.5 - n, 'error', 'pay-1', `connection refused by bank, charge ${n}`, {
        status: '503',
        trace_id: `trace-${n}`,
      }),
    );
  }
  return records;
}
