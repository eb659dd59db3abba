import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { fetchHits } from '../api/client';
import { absoluteRange, stepFor, stepText, type Interval } from '../time/range';

/** As many bars as are still wide enough to point at. */
const BUCKETS = 130;

/** Counts over time by level. The histogram and the total above the results share one request. */
export function useHits(filter: string, interval: Interval) {
  const step = stepFor(interval, BUCKETS);
  const range = absoluteRange(interval);
  const hits = useQuery({
    queryKey: ['hits', filter, range.from, range.to, step],
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      fetchHits(
        { query: filter, start: range.from, end: range.to, step: stepText(step), field: 'level' },
        signal,
      ),
  });
  return { hits, step };
}
