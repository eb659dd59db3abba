// The real binary, on a folder of its own, for one test file. Nothing is imitated: what the page
// shows has been through the collector, the queue and the store.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const BINARY = resolve(
  process.env['ROOKERY_BIN'] ?? join(import.meta.dirname, '../../../target/debug/rookery'),
);
const START_LIMIT_MS = 60_000;
const POLL_MS = 50;

export type Json = Record<string, string>;

/** Asks again until the answer is not undefined. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  limitMs = 30_000,
): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export class Rookery {
  private output = '';

  private constructor(
    readonly url: string,
    readonly folder: string,
    private readonly child: ChildProcess,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-20_000);
      });
    }
  }

  static async start(): Promise<Rookery> {
    const folder = await mkdtemp(join(tmpdir(), 'rookery-page-'));
    const logs = join(folder, 'logs');
    await mkdir(logs);
    const port = await freePort();
    const child = spawn(
      BINARY,
      [
        'standalone',
        '--data-dir',
        join(folder, 'data'),
        '--listen',
        `127.0.0.1:${port}`,
        '--logs',
        join(logs, '*.log'),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const rookery = new Rookery(`http://127.0.0.1:${port}`, folder, child);
    await rookery.ready();
    return rookery;
  }

  private async ready(): Promise<void> {
    await eventually(
      `${BINARY} to be ready`,
      async () => {
        if (this.child.exitCode !== null)
          throw new Error(`${BINARY} ended with ${this.child.exitCode}:\n${this.output}`);
        const response = await fetch(`${this.url}/readyz`).catch(() => undefined);
        return response?.ok ? true : undefined;
      },
      START_LIMIT_MS,
    );
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Appends lines to a log file that the collector watches. */
  async write(file: string, lines: readonly string[]): Promise<void> {
    const text = lines.map((line) => line + '\n').join('');
    await appendFile(join(this.folder, 'logs', file), text);
  }

  /** Pushes records, and waits until a search finds as many as `query` should. */
  async push(records: readonly Json[], query: string, expected = records.length): Promise<void> {
    const at = 5000;
    for (let from = 0; from < records.length; from += at) {
      const body = records.slice(from, from + at).map((record) => JSON.stringify(record) + '\n');
      const url = `${this.url}/insert/jsonline?_stream_fields=namespace,pod,container`;
      const response = await fetch(url, { method: 'POST', body: body.join('') });
      if (!response.ok) throw new Error(`push: ${response.status} ${await response.text()}`);
    }
    await this.found(query, expected);
  }

  /** Waits until a query finds this many records. */
  async found(query: string, expected: number): Promise<void> {
    let last = '';
    await eventually(`${expected} records of ${query}`, async () => {
      last = await this.query(`${query} | stats count() n`);
      return (JSON.parse(last || '{}') as Json)['n'] === String(expected) ? true : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; the last answer was ${last}\n${this.output}`);
    });
  }

  async query(query: string): Promise<string> {
    const body = new URLSearchParams({ query });
    const response = await fetch(`${this.url}/select/logsql/query`, { method: 'POST', body });
    if (!response.ok) throw new Error(`query: ${response.status} ${await response.text()}`);
    return (await response.text()).trim();
  }
}
