import { ActionIcon, CopyButton, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';

/** Copies a text, and says so. */
export function CopyAction(props: {
  value: string;
  label: string;
  icon?: React.ReactNode;
  size?: number;
}) {
  return (
    <CopyButton value={props.value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : props.label}>
          <ActionIcon
            size={props.size ?? 26}
            variant="subtle"
            color={copied ? 'green' : 'gray'}
            onClick={copy}
            aria-label={copied ? 'Copied' : props.label}
          >
            {copied ? <IconCheck size={14} /> : (props.icon ?? <IconCopy size={14} />)}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}
