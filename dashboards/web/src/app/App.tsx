import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { lazy, Suspense } from 'react';
import { SearchPage } from '../search/SearchPage';
import classes from './App.module.css';
import { Header } from './Header';
import { HelpDialog } from './HelpDialog';
import { useLocation } from './location';

const LedgerPage = lazy(() => import('../ledger/LedgerPage'));

export function App() {
  const { page } = useLocation();
  const [helpOpened, help] = useDisclosure(false);
  // Where the question mark needs no Shift, the first form alone would not be heard.
  useHotkeys([
    ['shift+?', help.toggle],
    ['?', help.toggle],
  ]);
  return (
    <div className={classes.app}>
      <Header page={page} onHelp={help.open} />
      {page === 'search' ? (
        <SearchPage />
      ) : (
        <Suspense fallback={null}>
          <LedgerPage />
        </Suspense>
      )}
      <HelpDialog opened={helpOpened} onClose={help.close} />
    </div>
  );
}
