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

/** Ours, without what is meant for the tests: the server takes ROOKERY_* for its own settings. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, ROOKERY_BIN: undefined };
}

export class Rookery {
  private output = '';
  private child: ChildProcess;

  private constructor(
    readonly url: string,
    readonly folder: string,
  ) {
    this.child = this.spawn();
  }

  static async start(): Promise<Rookery> {
    const folder = await mkdtemp(join(tmpdir(), 'rookery-page-'));
    await mkdir(join(folder, 'logs'));
    const rookery = new Rookery(`http://127.0.0.1:${await freePort()}`, folder);
    try {
      await rookery.ready();
    } catch (error) {
      await rookery.kill();
      throw new Error(rookery.output, { cause: error });
    }
    return rookery;
  }

  private spawn(): ChildProcess {
    const data = join(this.folder, 'data');
    const logs = join(this.folder, 'logs', '*.log');
    const listen = new URL(this.url).host;
    const child = spawn(
      BINARY,
      ['standalone', '--data-dir', data, '--listen', listen, '--logs', logs],
      { stdio: ['ignore', 'pipe', 'pipe'], env: environment() },
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-20_000);
      });
    }
    return child;
  }

  /** Ends the process at once, as a crash does. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }

  /** Starts again where `kill` left it: the same address, folder and files. */
  async startAgain(): Promise<void> {
    this.child = this.spawn();
    await this.ready();
  }

  private async ready(): Promise<void> {
    await eventually(
      `${BINARY} to be ready`,
      async () => {
        if (this.child.exitCode !== null)
          throw new Error(`${BINARY} ended with ${this.child.exitCode}`);
        const response = await fetch(`${this.url}/readyz`).catch(() => undefined);
        return response?.ok ? true : undefined;
      },
      START_LIMIT_MS,
    );
  }

  /** Ends the process and removes its folder; fails when the server logged an error. */
  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
    const errors = this.output.split('\n').filter((line) => /\bERROR\b/.test(line));
    if (errors.length > 0) throw new Error(`the server logged errors:\n${errors.join('\n')}`);
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
      throw new Error(`the last answer was ${last}\n${this.output}`, { cause: error });
    });
  }

  async query(query: string): Promise<string> {
    const body = new URLSearchParams({ query });
    const response = await fetch(`${this.url}/select/logsql/query`, { method: 'POST', body });
    if (!response.ok) throw new Error(`query: ${response.status} ${await response.text()}`);
    return (await response.text()).trim();
  }
}
