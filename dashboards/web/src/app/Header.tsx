import { ActionIcon, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { IconKeyboard, IconMoon, IconSun } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { fetchLedger, fetchStatus } from '../api/client';
import { formatHash, type PageName } from '../url/state';
import classes from './App.module.css';
import { navigate, useLocation } from './location';

/** The ledger's state is worth a look at any time, but not often: its page refreshes by itself. */
const LEDGER_INTERVAL_MS = 30_000;

export function Header({ page, onHelp }: { page: PageName; onHelp: () => void }) {
  const { search } = useLocation();
  const status = useQuery({
    queryKey: ['status'],
    queryFn: ({ signal }) => fetchStatus(signal),
    staleTime: Infinity,
  });
  const server = status.data;
  return (
    <header className={classes.header}>
      <a className={classes.brand} href={formatHash({ page: 'search', search })}>
        <img src="./rook.svg" width={20} height={20} alt="" />
        Rookery
      </a>
      <nav className={classes.nav} aria-label="Pages">
        <PageLink name="search" current={page} label="Logs" />
        <PageLink name="ledger" current={page} label="Ledger">
          <LedgerDot />
        </PageLink>
      </nav>
      <div className={classes.spacer} />
      {server && (
        <span className={classes.server} title={server.data_dir}>
          {server.role} {server.version}
        </span>
      )}
      <Tooltip label="Keys and query examples (?)">
        <ActionIcon variant="subtle" color="gray" onClick={onHelp} aria-label="Help">
          <IconKeyboard size={18} stroke={1.6} />
        </ActionIcon>
      </Tooltip>
      <SchemeSwitch />
    </header>
  );
}

function PageLink(props: {
  name: PageName;
  current: PageName;
  label: string;
  children?: React.ReactNode;
}) {
  const { search } = useLocation();
  return (
    <a
      href={formatHash({ page: props.name, search })}
      aria-current={props.current === props.name ? 'page' : undefined}
      onClick={(event) => {
        event.preventDefault();
        navigate({ page: props.name });
      }}
    >
      {props.label}
      {props.children}
    </a>
  );
}

function LedgerDot() {
  const ledger = useQuery({
    queryKey: ['ledger'],
    queryFn: ({ signal }) => fetchLedger(signal),
    refetchInterval: LEDGER_INTERVAL_MS,
  });
  if (!ledger.data) return null;
  const bad = !ledger.data.balanced || ledger.data.totals.lost.records > 0;
  const label = bad ? 'something is lost or does not balance' : 'balanced, nothing lost';
  return (
    <span
      className={classes.dot}
      data-bad={bad || undefined}
      role="img"
      aria-label={label}
      title={label}
    />
  );
}

function SchemeSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light') === 'dark';
  const label = dark ? 'Light colours' : 'Dark colours';
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        onClick={() => {
          setColorScheme(dark ? 'light' : 'dark');
        }}
        aria-label={label}
      >
        {dark ? <IconSun size={18} stroke={1.6} /> : <IconMoon size={18} stroke={1.6} />}
      </ActionIcon>
    </Tooltip>
  );
}
