import { Tooltip } from '@mantine/core';
import { IconX } from '@tabler/icons-react';
import {
  negateCondition,
  parseQuery,
  removeCondition,
  type Condition,
  type ConditionKind,
} from '../logsql/conditions';
import classes from './QueryBar.module.css';

const GROUPS: readonly { kind: ConditionKind; label: string }[] = [
  { kind: 'content', label: 'Content' },
  { kind: 'field', label: 'Fields' },
  { kind: 'stream', label: 'Streams' },
  { kind: 'other', label: 'Combined' },
];

/** The conditions of the query, those on content apart from those on fields. */
export function ConditionChips(props: { query: string; onChange: (query: string) => void }) {
  const { conditions } = parseQuery(props.query);
  if (conditions.length === 0) return null;
  return (
    <div className={classes.chips} aria-label="Conditions" role="region">
      {GROUPS.map(({ kind, label }) => {
        const members = conditions.filter((condition) => condition.kind === kind);
        if (members.length === 0) return null;
        return (
          <div className={classes.group} key={kind} role="group" aria-label={label}>
            <span className={classes.groupName}>{label}</span>
            {members.map((condition) => (
              <Chip key={condition.start} condition={condition} {...props} />
            ))}
          </div>
        );
      })}
    </div>
  );
}

function Chip({
  condition,
  query,
  onChange,
}: {
  condition: Condition;
  query: string;
  onChange: (query: string) => void;
}) {
  const name = condition.kind === 'field' ? condition.field : undefined;
  const rest =
    name === undefined ? condition.text : condition.text.replace(/^("[^"]*"|[^:]*):/, '');
  return (
    <span className={classes.chip} data-negated={condition.negated || undefined}>
      <Tooltip label={condition.negated ? 'Excluded. Click to include' : 'Click to exclude'}>
        <button
          type="button"
          onClick={() => onChange(negateCondition(query, condition))}
          aria-label={`${condition.negated ? 'Include' : 'Exclude'} ${condition.text}`}
        >
          {condition.negated && <span className={classes.not}>not </span>}
          {name !== undefined && <span className={classes.name}>{name}: </span>}
          {rest.replace(/^=/, '')}
        </button>
      </Tooltip>
      <button
        type="button"
        className={classes.close}
        onClick={() => onChange(removeCondition(query, condition))}
        aria-label={`Remove ${condition.text}`}
      >
        <IconX size={12} />
      </button>
    </span>
  );
}
