import { ActionIcon, Menu, Tooltip } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useState } from 'react';
import { collectLogs, queryUrl, type Params } from '../api/client';
import type { LogRecord } from '../api/types';
import { toCsv, toJsonLines } from '../records/export';
import { formatCount } from '../time/format';
import { ROW_LIMIT } from './resultStore';

interface Props {
  rows: readonly LogRecord[];
  /** The search without its limit; absent where only what is on show can be saved. */
  params?: Params;
}

/** Saves what is on show, or all that the search finds. */
export function DownloadMenu({ rows, params }: Props) {
  const [busy, setBusy] = useState(false);
  const saveAllCsv = async (all: Params) => {
    setBusy(true);
    try {
      save(toCsv(await collectLogs({ ...all, limit: ROW_LIMIT })), 'csv');
    } finally {
      setBusy(false);
    }
  };
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <Tooltip label="Download">
          <ActionIcon
            variant="subtle"
            color="gray"
            size={26}
            aria-label="Download"
            disabled={rows.length === 0}
            loading={busy}
          >
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>The {formatCount(rows.length)} rows here</Menu.Label>
        <Menu.Item onClick={() => save(toJsonLines(rows), 'jsonl')}>JSON lines</Menu.Item>
        <Menu.Item onClick={() => save(toCsv(rows), 'csv')}>CSV</Menu.Item>
        {params && (
          <>
            <Menu.Label>All that is found, up to {formatCount(ROW_LIMIT)}</Menu.Label>
            <Menu.Item
              component="a"
              href={queryUrl({ ...params, limit: ROW_LIMIT })}
              download={fileName('jsonl')}
            >
              JSON lines
            </Menu.Item>
            <Menu.Item onClick={() => void saveAllCsv(params)}>CSV</Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function fileName(extension: string): string {
  const now = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  return `rookery-${now}.${extension}`;
}

function save(text: string, extension: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = fileName(extension);
  link.click();
  // Chromium reads the blob after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
