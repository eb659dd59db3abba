import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { formatBucket, formatCount, formatInstant, formatShort } from '../time/format';
import { absoluteRange, type Interval, type TimeRange } from '../time/range';
import classes from './Histogram.module.css';
import { histogramData, type HistogramData } from './histogramData';
import { ApiError } from '../api/client';
import { useHits } from './useHits';

const HEIGHT_PX = 104;

interface Props {
  filter: string;
  interval: Interval;
  utc: boolean;
  onZoom: (range: TimeRange) => void;
}

/** How many records there are over time, stacked by level; drag over it to look closer. */
export function Histogram({ filter, interval, utc, onZoom }: Props) {
  const { ref, width } = useElementSize();
  const { hits, step } = useHits(filter, interval);
  const data = useMemo(
    () => histogramData(hits.data?.hits ?? [], interval, step * 1000),
    [hits.data, interval, step],
  );
  return (
    <section className={classes.histogram} aria-label="Records over time">
      <p className="visually-hidden">{describe(data)}</p>
      <div ref={ref} className={classes.chart} data-stale={hits.isPlaceholderData || undefined}>
        {width > 0 && (
          <Bars
            data={data}
            width={width}
            step={step}
            utc={utc}
            interval={interval}
            onZoom={onZoom}
          />
        )}
      </div>
      {hits.isError && !hits.isFetching && !isAboutQuery(hits.error) && (
        <div className={classes.failed}>No histogram: {hits.error.message}</div>
      )}
    </section>
  );
}

/** The query box says what is wrong with the query; nobody else repeats it. */
function isAboutQuery(error: Error): boolean {
  return error instanceof ApiError && error.status === 400;
}

function describe(data: HistogramData): string {
  const parts = data.levels.map((level, index) => {
    const sum = (data.counts[index] ?? []).reduce((a, b) => a + b, 0);
    return `${formatCount(sum)} ${level}`;
  });
  return `${formatCount(data.total)} records: ${parts.join(', ')}.`;
}

interface BarsProps {
  data: HistogramData;
  width: number;
  step: number;
  utc: boolean;
  interval: Interval;
  onZoom: (range: TimeRange) => void;
}

interface Hover {
  index: number;
  left: number;
}

function Bars({ data, width, step, utc, interval, onZoom }: BarsProps) {
  const host = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme('light');
  const [hover, setHover] = useState<Hover>();
  const zoom = useRef(onZoom);
  useEffect(() => {
    zoom.current = onZoom;
  });

  useEffect(() => {
    if (!host.current) return;
    const options = chartOptions(data, width, step, utc, interval, {
      zoom: (range) => zoom.current(range),
      hover: setHover,
    });
    // The gravest level is drawn last, over the taller bars of the levels stacked on it.
    const rows = [...data.stacked].reverse();
    const chart = new uPlot(options, [data.times.map((t) => t / 1000), ...rows], host.current);
    return () => chart.destroy();
  }, [data, width, step, utc, interval, scheme]);

  return (
    <>
      <div ref={host} data-testid="histogram" />
      {hover && <Tip data={data} hover={hover} width={width} step={step} utc={utc} />}
    </>
  );
}

function Tip(props: {
  data: HistogramData;
  hover: Hover;
  width: number;
  step: number;
  utc: boolean;
}) {
  const { data, hover, step, utc, width } = props;
  const at = data.times[hover.index];
  if (at === undefined) return null;
  const side =
    hover.left > width / 2 ? { right: width - hover.left + 12 } : { left: hover.left + 12 };
  return (
    <div className={classes.tip} style={side} aria-hidden="true">
      <div style={{ color: 'var(--muted)' }}>
        {formatBucket(at, utc, step)} – {formatBucket(at + step * 1000, utc, step).slice(6)}
      </div>
      {data.levels.map((level, index) => {
        const count = data.counts[index]?.[hover.index] ?? 0;
        if (count === 0) return null;
        return (
          <div key={level}>
            <span className={classes.swatch} style={{ background: `var(--level-${level})` }} />
            <span>{level}</span>
            <span>{formatCount(count)}</span>
          </div>
        );
      })}
      {(data.totals[hover.index] ?? 0) === 0 && <div>no records</div>}
    </div>
  );
}

function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function chartOptions(
  data: HistogramData,
  width: number,
  step: number,
  utc: boolean,
  interval: Interval,
  on: { zoom: (range: TimeRange) => void; hover: (hover: Hover | undefined) => void },
): uPlot.Options {
  const bars = uPlot.paths.bars?.({ size: [0.86, 60, 1], align: 1 });
  const axis = {
    stroke: cssColour('--faint'),
    font: "11px 'Inter Variable', sans-serif",
    ticks: { show: false },
  };
  const lastBucket = (data.times.at(-1) ?? interval.to) + step * 1000;
  const firstBucket = data.times[0] ?? interval.from;
  return {
    width,
    height: HEIGHT_PX,
    padding: [4, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: false } },
    scales: {
      x: { range: [firstBucket / 1000, Math.max(lastBucket, interval.to) / 1000] },
      y: { range: (_, __, max) => [0, Math.max(max || 0, 1) * 1.05] },
    },
    tzDate: (seconds) =>
      utc ? uPlot.tzDate(new Date(seconds * 1000), 'UTC') : new Date(seconds * 1000),
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 20,
        gap: 3,
        values: (_, splits, __, ___, increment) =>
          splits.map((seconds) => axisLabel(seconds * 1000, utc, increment)),
      },
      {
        ...axis,
        grid: { stroke: cssColour('--line'), width: 1 },
        size: 44,
        gap: 4,
        space: 26,
        values: (_, splits) => splits.map((v) => (Number.isInteger(v) ? formatShort(v) : '')),
      },
    ],
    series: [
      {},
      ...[...data.levels].reverse().map((level) => ({
        fill: cssColour(`--level-${level}`),
        width: 0,
        points: { show: false },
        ...(bars ? { paths: bars } : {}),
      })),
    ],
    hooks: {
      setCursor: [
        (chart) => {
          const left = chart.cursor.left ?? -1;
          if (left < 0) on.hover(undefined);
          else {
            const at = chart.posToVal(left, 'x') * 1000;
            const index = Math.floor((at - firstBucket) / (step * 1000));
            on.hover({ index, left: left + chart.bbox.left / uPlot.pxRatio });
          }
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width: span } = chart.select;
          if (span < 4) return;
          const from = chart.posToVal(left, 'x') * 1000;
          const to = chart.posToVal(left + span, 'x') * 1000;
          on.zoom(absoluteRange({ from, to: Math.max(to, from + 1) }));
        },
      ],
    },
  };
}

/** A clock as exact as the distance of the labels asks for, and the date where a day begins. */
function axisLabel(instant: number, utc: boolean, increment: number): string {
  const text = formatInstant(instant, utc);
  const clock = text.slice(11);
  if (increment >= 86_400 || clock === '00:00:00.000') return text.slice(5, 10);
  if (increment < 1) return clock;
  return increment < 60 ? clock.slice(0, 8) : clock.slice(0, 5);
}
