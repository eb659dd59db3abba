import { ActionIcon, Tooltip } from '@mantine/core';
import { IconBraces, IconChevronDown, IconChevronUp, IconLink, IconX } from '@tabler/icons-react';
import type { LogRecord } from '../api/types';
import { navigate, useLocation } from '../app/location';
import { levelOf, originOf, type Level } from '../records/record';
import { formatInstant, timeOf, zoneLabel } from '../time/format';
import { RECORD_TABS, type RecordTab } from '../url/state';
import { CopyAction } from './CopyAction';
import { PanelResizer } from './PanelResizer';
import { RecordContext } from './RecordContext';
import { LongText, RecordFields } from './RecordFields';
import classes from './RecordPanel.module.css';

const TAB_LABELS: Record<RecordTab, string> = {
  fields: 'Fields',
  context: 'Context',
  json: 'JSON',
};

interface Props {
  record: LogRecord;
  highlight: RegExp | undefined;
  onStep: (by: -1 | 1) => void;
  onClose: () => void;
  width: number;
  onWidth: (width: number) => void;
}

/** One record in full, beside the list that it was opened from. */
export function RecordPanel({ record, highlight, onStep, onClose, width, onWidth }: Props) {
  const { search } = useLocation();
  const level = levelOf(record['level']);
  const at = timeOf(record['_time']);
  return (
    <section className={classes.panel} aria-label="Record" data-testid="record">
      <PanelResizer width={width} onWidth={onWidth} />
      <header className={classes.head}>
        <span className={classes.badge} style={badgeColours(level)}>
          {record['level'] || 'no level'}
        </span>
        {!Number.isNaN(at) && (
          <span className={classes.when} title={record['_time']}>
            {formatInstant(at, search.utc)} {zoneLabel(at, search.utc)}
          </span>
        )}
        <span className={classes.spacer} />
        <CopyAction
          value={JSON.stringify(record)}
          label="Copy as JSON"
          icon={<IconBraces size={14} />}
        />
        <CopyAction
          value={window.location.href}
          label="Copy a link to this record"
          icon={<IconLink size={14} />}
        />
        <PanelButton label="Previous (k)" onClick={() => onStep(-1)}>
          <IconChevronUp size={16} />
        </PanelButton>
        <PanelButton label="Next (j)" onClick={() => onStep(1)}>
          <IconChevronDown size={16} />
        </PanelButton>
        <PanelButton label="Close (Esc)" onClick={onClose}>
          <IconX size={16} />
        </PanelButton>
      </header>
      <div className={classes.tabs} role="tablist" aria-label="Views of the record">
        {RECORD_TABS.map((tab) => (
          <button
            type="button"
            key={tab}
            role="tab"
            aria-selected={search.tab === tab}
            onClick={() => navigate({ tab }, 'replace')}
          >
            {TAB_LABELS[tab]}
          </button>
        ))}
        <span className={classes.origin} title={record['_path']}>
          {originOf(record)}
        </span>
      </div>
      <div className={classes.body} role="tabpanel" aria-label={TAB_LABELS[search.tab]}>
        {search.tab === 'fields' && <RecordFields record={record} highlight={highlight} />}
        {search.tab === 'context' && (
          <RecordContext
            key={`${record['_stream_id'] ?? ''}${record['_time'] ?? ''}`}
            record={record}
          />
        )}
        {search.tab === 'json' && (
          <pre className={classes.json}>
            <LongText text={prettyJson(record)} highlight={undefined} />
          </pre>
        )}
      </div>
    </section>
  );
}

/** The level's colour, faint below and strong above, so that it reads in either scheme. */
function badgeColours(level: Level): React.CSSProperties {
  const colour = `var(--level-${level})`;
  return {
    background: `color-mix(in srgb, ${colour} 22%, var(--page))`,
    color: `color-mix(in srgb, ${colour} 35%, var(--text))`,
  };
}

function PanelButton(props: { label: string; onClick: () => void; children: React.ReactNode }) {
  return (
    <Tooltip label={props.label}>
      <ActionIcon
        size={26}
        variant="subtle"
        color="gray"
        onClick={props.onClick}
        aria-label={props.label}
      >
        {props.children}
      </ActionIcon>
    </Tooltip>
  );
}

/** The record, with a message that is itself JSON opened up. */
function prettyJson(record: LogRecord): string {
  const shown: Record<string, unknown> = { ...record };
  const message = record['_msg'];
  if (message?.startsWith('{')) {
    try {
      shown['_msg'] = JSON.parse(message);
    } catch {
      // Not JSON after all: it stays the text that it is.
    }
  }
  return JSON.stringify(shown, null, 2);
}
