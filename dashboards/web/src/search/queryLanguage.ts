// How a query looks in the editor: every token gets a class. The document is a line or two, so it
// is cut into tokens anew on each change.

import { RangeSetBuilder, type EditorState, type Extension } from '@codemirror/state';
import {
  Decoration,
  EditorView,
  ViewPlugin,
  type DecorationSet,
  type ViewUpdate,
} from '@codemirror/view';
import { tokenize } from '../logsql/tokens';

function decorate(state: EditorState): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (const token of tokenize(state.doc.toString())) {
    if (token.kind === 'space') continue;
    builder.add(token.start, token.end, Decoration.mark({ class: `token-${token.kind}` }));
  }
  return builder.finish();
}

const highlighting = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = decorate(view.state);
    }

    update(update: ViewUpdate): void {
      if (update.docChanged) this.decorations = decorate(update.state);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const look = EditorView.theme({
  '&': { fontSize: '13px', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '20px', maxHeight: '124px' },
  '.cm-content': { padding: '5px 0', caretColor: 'var(--text)' },
  '.cm-line': { padding: '0 8px' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--faint)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    { backgroundColor: 'var(--selected)' },
  '.token-field, .token-stream': { color: 'var(--token-field)' },
  '.token-string': { color: 'var(--token-string)' },
  '.token-keyword, .token-pipe': { color: 'var(--token-keyword)' },
  '.token-pipe': { fontWeight: '600' },
  '.token-number': { color: 'var(--token-number)' },
  '.token-operator, .token-colon, .token-paren, .token-comma': { color: 'var(--token-operator)' },
  '.token-negation': { color: 'var(--bad)', fontWeight: '600' },
  '.token-comment': { color: 'var(--faint)', fontStyle: 'italic' },
  '.cm-tooltip': {
    backgroundColor: 'var(--raised)',
    border: '1px solid var(--line-strong)',
    borderRadius: '6px',
    boxShadow: '0 8px 24px rgb(0 0 0 / 18%)',
    overflow: 'hidden',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    fontFamily: 'var(--mono)',
    fontSize: '12px',
    maxHeight: '260px',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px', color: 'var(--text)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--selected)',
    color: 'var(--text)',
  },
  '.cm-completionDetail': { color: 'var(--faint)', fontStyle: 'normal', marginLeft: '16px' },
  '.cm-completionMatchedText': {
    textDecoration: 'none',
    color: 'var(--accent)',
    fontWeight: '600',
  },
  '.cm-diagnostic': { fontFamily: 'var(--mono)', fontSize: '12px' },
});

export const queryLanguage: Extension = [highlighting, look];
