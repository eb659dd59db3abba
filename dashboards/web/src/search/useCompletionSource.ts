import { useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';
import {
  fetchFieldNames,
  fetchFieldValues,
  fetchStreamFieldNames,
  fetchStreamFieldValues,
  type Params,
} from '../api/client';
import type { ValuesResponse } from '../api/types';
import { absoluteRange, type Interval } from '../time/range';
import type { CompletionSource } from './queryCompletion';

/** Values that are offered for a field: more cannot be looked through. */
const VALUES = 50;

/** What the editor completes with: names and values of the time range, each fetched once. */
export function useCompletionSource(interval: Interval): CompletionSource {
  const client = useQueryClient();
  const { from, to } = absoluteRange(interval);
  return useMemo(() => {
    const ask = async (
      name: string,
      fetch: (params: Params, signal?: AbortSignal) => Promise<ValuesResponse>,
      params: Params,
    ) => {
      const all = { query: '*', start: from, end: to, ...params };
      const answer = await client.query({
        queryKey: ['completion', name, all],
        queryFn: ({ signal }) => fetch(all, signal),
        staleTime: 60_000,
      });
      return answer.values;
    };
    return {
      fieldNames: () => ask('fields', fetchFieldNames, {}),
      fieldValues: (field) => ask('values', fetchFieldValues, { field, limit: VALUES }),
      streamFieldNames: () => ask('stream-fields', fetchStreamFieldNames, {}),
      streamFieldValues: (field) =>
        ask('stream-values', fetchStreamFieldValues, { field, limit: VALUES }),
    };
  }, [client, from, to]);
}
