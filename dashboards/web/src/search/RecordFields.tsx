import { Button } from '@mantine/core';
import { useState } from 'react';
import type { LogRecord } from '../api/types';
import { HOUSEKEEPING, orderedFields, withoutAnsi } from '../records/record';
import { formatBytes } from '../time/format';
import { CopyAction } from './CopyAction';
import { FilterButtons } from './FieldValues';
import { Highlighted } from './Highlighted';
import classes from './RecordPanel.module.css';

/** Longer texts are shown to here until asked for: a megabyte in one element stops a browser. */
const SHOWN_CHARS = 20_000;

export function RecordFields(props: { record: LogRecord; highlight: RegExp | undefined }) {
  const { record, highlight } = props;
  const message = record['_msg'];
  const fields = orderedFields(record).filter(([name]) => name !== '_msg');
  return (
    <>
      {message !== undefined && message !== '' && (
        <div className={classes.message} data-message="" data-testid="message">
          <LongText text={withoutAnsi(message)} highlight={highlight} />
        </div>
      )}
      <table className={classes.fields} aria-label="Fields of the record">
        <tbody>
          {fields.map(([name, value]) => (
            <tr key={name} data-housekeeping={HOUSEKEEPING.has(name) || undefined}>
              <th scope="row">{name}</th>
              <td>
                <LongText text={value} highlight={undefined} />
              </td>
              <td>
                {name !== '_time' && <FilterButtons field={name} value={value} />}
                <CopyAction value={value} label={`Copy ${name}`} size={18} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** A text, of which a very long one is shown in full only when asked for. */
export function LongText({ text, highlight }: { text: string; highlight: RegExp | undefined }) {
  const [whole, setWhole] = useState(false);
  if (text.length <= SHOWN_CHARS || whole) return <Highlighted text={text} pattern={highlight} />;
  return (
    <>
      <Highlighted text={text.slice(0, SHOWN_CHARS)} pattern={highlight} />
      <Button size="compact-xs" variant="light" onClick={() => setWhole(true)}>
        Show all {formatBytes(text.length)}
      </Button>
    </>
  );
}
