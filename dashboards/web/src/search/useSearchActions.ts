// What every part of the page can ask for: one more condition, a column, an opened record. One
// object in a context, so that a button deep in a list needs no chain of props.

import { createContext, useContext } from 'react';

export interface SearchActions {
  /** Adds, or excludes, records whose field has this value. */
  filterField: (field: string, value: string, negated: boolean) => void;
  /** Adds, or excludes, records that contain this text. */
  filterContent: (text: string, negated: boolean) => void;
  /** Replaces the query. */
  setQuery: (query: string) => void;
  toggleColumn: (field: string) => void;
  columns: readonly string[];
}

export const SearchActionsContext = createContext<SearchActions | undefined>(undefined);

export function useSearchActions(): SearchActions {
  const actions = useContext(SearchActionsContext);
  if (!actions) throw new Error('useSearchActions is used outside the search page');
  return actions;
}
