// Completion in the query editor: names of fields and their values as they occur in the time range,
// names of pipes and functions. What was fetched for the field list is used again from its cache.

import {
  insertCompletionText,
  pickedCompletion,
  startCompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import type { EditorView } from '@codemirror/view';
import { completionPlace, type CompletionPlace, type Wanted } from '../logsql/completionContext';
import { quote, quoteField } from '../logsql/conditions';
import { FILTER_FUNCTIONS, PIPES, STATS_FUNCTIONS } from '../logsql/tokens';
import { formatShort } from '../time/format';
import type { ValueHits } from '../api/types';
import { earlierQueries } from './queryHistory';

/** Where the names and values come from. */
export interface CompletionSource {
  fieldNames: () => Promise<ValueHits[]>;
  fieldValues: (field: string) => Promise<ValueHits[]>;
  streamFieldNames: () => Promise<ValueHits[]>;
  streamFieldValues: (field: string) => Promise<ValueHits[]>;
}

/** Puts a name in, and offers at once what can follow it. */
function thenOffer(text: string) {
  return (view: EditorView, completion: Completion, from: number, to: number): void => {
    view.dispatch({
      ...insertCompletionText(view.state, text, from, to),
      annotations: pickedCompletion.of(completion),
    });
    startCompletion(view);
  };
}

const LOGIC: Completion[] = ['AND', 'OR', 'NOT'].map((label) => ({
  label,
  apply: `${label} `,
  detail: 'logic',
  boost: -20,
}));

function names(
  values: readonly ValueHits[],
  apply: (name: string) => NonNullable<Completion['apply']>,
): Completion[] {
  return values.map(({ value, hits }, index) => ({
    label: value,
    apply: apply(value),
    detail: hits > 0 ? formatShort(hits) : '',
    // The most frequent first, as they come; the order of letters says nothing.
    boost: 60 - Math.min(index, 50),
  }));
}

function functions(list: readonly string[]): Completion[] {
  return list.map((name) => ({
    label: `${name}()`,
    apply: `${name}(`,
    detail: 'function',
    boost: -30,
  }));
}

async function optionsFor(wanted: Wanted, source: CompletionSource): Promise<Completion[]> {
  switch (wanted.kind) {
    case 'nothing':
      return [];
    case 'filter': {
      const fields = names(await source.fieldNames(), (name) => thenOffer(`${quoteField(name)}:`));
      return [...fields, ...LOGIC, ...functions(FILTER_FUNCTIONS)];
    }
    case 'value':
      return names(await source.fieldValues(wanted.field), (value) =>
        /^[\w.-]+$/.test(value) ? value : quote(value),
      );
    case 'pipe':
      return PIPES.map((name) => ({ label: name, apply: `${name} `, detail: 'pipe' }));
    case 'pipe-argument': {
      const fields = names(await source.fieldNames(), quoteField);
      return wanted.pipe.endsWith('stats') ? [...functions(STATS_FUNCTIONS), ...fields] : fields;
    }
    case 'stream-field':
      return names(await source.streamFieldNames(), (name) => thenOffer(`${name}="`));
    case 'stream-value':
      return names(await source.streamFieldValues(wanted.field), (value) =>
        quote(value).slice(1, -1),
      );
  }
}

/** In an empty editor: what was searched for before. */
function earlier(): CompletionResult | null {
  const options = earlierQueries().map((label, index) => ({
    label,
    detail: 'searched before',
    boost: 99 - index,
  }));
  return options.length === 0 ? null : { from: 0, options, filter: false };
}

/** An empty place offers something only where there is little to choose from. */
function isWorthAsking(place: CompletionPlace, explicit: boolean): boolean {
  if (explicit || place.typed !== '') return true;
  return ['value', 'pipe', 'stream-field', 'stream-value'].includes(place.wanted.kind);
}

export function completeFrom(source: CompletionSource) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    if (context.explicit && context.state.doc.length === 0) return earlier();
    const place = completionPlace(context.state.doc.toString(), context.pos);
    if (!isWorthAsking(place, context.explicit)) return null;
    const options = await optionsFor(place.wanted, source).catch(() => []);
    if (options.length === 0) return null;
    return { from: place.from, options, validFor: /^[\w.*-]*$/ };
  };
}
