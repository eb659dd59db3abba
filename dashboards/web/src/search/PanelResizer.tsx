import { useLocalStorage } from '@mantine/hooks';
import classes from './RecordPanel.module.css';

const NARROWEST_PX = 340;
const WIDEST_SHARE = 0.75;
const STEP_PX = 40;

/** The width of the record panel, as it was left. */
export function usePanelWidth(): [number, (width: number) => void] {
  const [width, setWidth] = useLocalStorage({
    key: 'rookery.panel-width',
    defaultValue: 520,
    getInitialValueInEffect: false,
  });
  const bounded = (wanted: number) =>
    Math.round(Math.max(NARROWEST_PX, Math.min(wanted, window.innerWidth * WIDEST_SHARE)));
  return [bounded(width), (wanted) => setWidth(bounded(wanted))];
}

/** The edge of the record panel: drag it, or move it with the arrow keys. */
export function PanelResizer(props: { width: number; onWidth: (width: number) => void }) {
  const { width, onWidth } = props;
  return (
    <div
      className={classes.resizer}
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the record"
      aria-valuenow={width}
      aria-valuemin={NARROWEST_PX}
      tabIndex={0}
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
        const panel = event.currentTarget.parentElement?.getBoundingClientRect();
        if (panel) onWidth(panel.right - event.clientX);
      }}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft') onWidth(width + STEP_PX);
        if (event.key === 'ArrowRight') onWidth(width - STEP_PX);
      }}
    />
  );
}
