import { Button, Paper } from '@mantine/core';
import { IconMinus, IconPlus } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { useSearchActions } from './useSearchActions';

interface Selected {
  text: string;
  x: number;
  y: number;
}

const LONGEST_PHRASE = 300;

function selectedText(): Selected | undefined {
  const selection = window.getSelection();
  if (!selection || selection.isCollapsed || selection.rangeCount === 0) return undefined;
  const text = selection.toString().trim();
  if (text === '' || text.length > LONGEST_PHRASE || text.includes('\n')) return undefined;
  const inMessage = (node: Node | null) => node?.parentElement?.closest('[data-message]');
  if (!inMessage(selection.anchorNode) || !inMessage(selection.focusNode)) return undefined;
  const box = selection.getRangeAt(0).getBoundingClientRect();
  return { text, x: box.left + box.width / 2, y: box.top };
}

/** Select a piece of a message to search for it, or to leave out the lines that have it. */
export function SelectionActions() {
  const { filterContent } = useSearchActions();
  const [selected, setSelected] = useState<Selected>();

  useEffect(() => {
    const look = () => setSelected(selectedText());
    const clear = () => {
      if (window.getSelection()?.isCollapsed !== false) setSelected(undefined);
    };
    document.addEventListener('mouseup', look);
    document.addEventListener('selectionchange', clear);
    return () => {
      document.removeEventListener('mouseup', look);
      document.removeEventListener('selectionchange', clear);
    };
  }, []);

  if (!selected) return null;
  const add = (negated: boolean) => {
    filterContent(selected.text, negated);
    window.getSelection()?.removeAllRanges();
  };
  return (
    <Paper
      shadow="md"
      withBorder
      p={3}
      style={{
        position: 'fixed',
        zIndex: 200,
        left: selected.x,
        top: selected.y - 6,
        transform: 'translate(-50%, -100%)',
        display: 'flex',
        gap: 2,
      }}
    >
      <Button
        size="compact-xs"
        variant="subtle"
        leftSection={<IconPlus size={12} />}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => add(false)}
      >
        Contains
      </Button>
      <Button
        size="compact-xs"
        variant="subtle"
        color="red"
        leftSection={<IconMinus size={12} />}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => add(true)}
      >
        Does not
      </Button>
    </Paper>
  );
}
