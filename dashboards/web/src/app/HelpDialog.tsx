import { Divider, Kbd, Modal, Title } from '@mantine/core';
import { Fragment } from 'react';
import classes from './App.module.css';

const KEYS: readonly [string[], string][] = [
  [['/'], 'write a query'],
  [['Enter'], 'in the query: search; on a line: open it'],
  [['Shift', 'Enter'], 'in the query: a new line'],
  [['↓'], 'in an empty query: what was searched for before'],
  [['j', 'k'], 'next and previous line'],
  [['o'], 'open the line'],
  [['c'], 'the lines around it'],
  [['l'], 'live tail on and off'],
  [['Space'], 'pause and resume the live tail'],
  [['t'], 'time range'],
  [['w'], 'wrap long lines'],
  [['Esc'], 'close; leave the query'],
  [['?'], 'this page'],
];

const EXAMPLES: readonly [string, string][] = [
  ['error "connection refused"', 'both the word and the phrase'],
  ['level:error -path:/health*', 'a field, and not a prefix'],
  ['namespace:="prod" (a OR b)', 'the whole value; either word'],
  ['status:>=500 _msg:~"t[iI]meout"', 'a number; a regular expression'],
  ['{namespace="prod"} _time:5m', 'a stream; the last five minutes'],
  ['* | stats by (namespace) count() n | sort by (n desc)', 'a table'],
  ['* | top 10 by (path)', 'the most frequent values'],
];

export function HelpDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} size="lg" title="Keys and query examples">
      <dl className={classes.keys}>
        {KEYS.map(([keys, text]) => (
          <Fragment key={text}>
            <dt>
              {keys.map((key) => (
                <Kbd key={key} size="xs" ml={4}>
                  {key}
                </Kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </Fragment>
        ))}
      </dl>
      <Divider my="md" />
      <Title order={6} mb="xs">
        Queries
      </Title>
      <div className={classes.examples}>
        {EXAMPLES.map(([query, text]) => (
          <Fragment key={query}>
            <code>{query}</code>
            <span>{text}</span>
          </Fragment>
        ))}
      </div>
    </Modal>
  );
}
