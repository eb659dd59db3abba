import {
  acceptCompletion,
  autocompletion,
  completionStatus,
  moveCompletionSelection,
  selectedCompletionIndex,
  startCompletion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewline } from '@codemirror/commands';
import { setDiagnostics } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, placeholder } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import type { ApiError } from '../api/client';
import { indexOfByte } from '../logsql/tokens';
import { completeFrom, type CompletionSource } from './queryCompletion';
import { queryLanguage } from './queryLanguage';
import classes from './QueryBar.module.css';

interface Props {
  value: string;
  error: ApiError | undefined;
  source: CompletionSource;
  onChange: (value: string) => void;
  onSubmit: () => void;
}

/** The query as code: coloured, completed, with an error under the place that it is about. */
export function QueryEditor({ value, error, source, onChange, onSubmit }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView>(null);
  // The editor is made once; what it calls is looked up when it calls.
  const calls = useRef({ source, onChange, onSubmit });
  useEffect(() => {
    calls.current = { source, onChange, onSubmit };
  });

  useEffect(() => {
    if (!host.current) return;
    const view = new EditorView({
      parent: host.current,
      state: EditorState.create({
        extensions: [
          history(),
          queryLanguage,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({
            'aria-label': 'Query',
            role: 'searchbox',
            'aria-multiline': 'true',
            spellcheck: 'false',
          }),
          placeholder('Search: words, "a phrase", field:value, -not, | stats by (field) count()'),
          autocompletion({
            selectOnOpen: false,
            // Nothing is chosen until a key chooses it, so no key needs to be held back.
            interactionDelay: 0,
            icons: false,
            override: [(context) => completeFrom(calls.current.source)(context)],
          }),
          Prec.highest(keymap.of(queryKeys(() => calls.current.onSubmit()))),
          keymap.of([...historyKeymap, ...defaultKeymap]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) calls.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    editor.current = view;
    return () => {
      view.destroy();
      editor.current = null;
    };
  }, []);

  useEffect(() => {
    const view = editor.current;
    if (!view || view.state.doc.toString() === value) return;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
  }, [value]);

  useEffect(() => {
    const view = editor.current;
    if (!view) return;
    view.dispatch(setDiagnostics(view.state, diagnosticsOf(error, view.state.doc.toString())));
  }, [error]);

  return <div className={classes.editor} ref={host} data-testid="query" />;
}

function diagnosticsOf(error: ApiError | undefined, query: string) {
  if (error?.position === undefined) return [];
  const at = Math.min(indexOfByte(query, error.position), query.length);
  const word = /^[\w.]+|^\S/.exec(query.slice(at))?.[0].length ?? 0;
  const from = word === 0 ? Math.max(0, at - 1) : at;
  return [
    { from, to: Math.max(at + word, from), severity: 'error' as const, message: error.message },
  ];
}

function queryKeys(submit: () => void) {
  return [
    {
      key: 'Enter',
      run: (view: EditorView) => {
        // A completion that was chosen with the arrows is taken; else Enter searches.
        const chosen = selectedCompletionIndex(view.state) ?? -1;
        if (completionStatus(view.state) === 'active' && chosen >= 0) return acceptCompletion(view);
        submit();
        return true;
      },
    },
    { key: 'Shift-Enter', run: insertNewline },
    {
      key: 'ArrowDown',
      run: (view: EditorView) => view.state.doc.length === 0 && startCompletion(view),
    },
    {
      key: 'Tab',
      run: (view: EditorView) => {
        if (completionStatus(view.state) !== 'active') return false;
        if ((selectedCompletionIndex(view.state) ?? -1) >= 0) return acceptCompletion(view);
        return moveCompletionSelection(true)(view) && acceptCompletion(view);
      },
    },
    {
      key: 'Escape',
      run: (view: EditorView) => {
        if (completionStatus(view.state) !== null) return false;
        view.contentDOM.blur();
        return true;
      },
    },
  ];
}
