import { createTheme, Tooltip, type MantineColorsTuple } from '@mantine/core';

/** Mantine's dark surfaces in the tone of ours: see the dark scheme in theme.css. */
const slate: MantineColorsTuple = [
  '#d9e0ea',
  '#b6c0ce',
  '#8d99ab',
  '#667286',
  '#364152',
  '#2a3341',
  '#1a202a',
  '#141921',
  '#0e1116',
  '#090b0f',
];

export const theme = createTheme({
  colors: { dark: slate },
  primaryColor: 'indigo',
  primaryShade: { light: 6, dark: 5 },
  defaultRadius: 'sm',
  autoContrast: true,
  fontFamily: "'Inter Variable', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, Menlo, Consolas, monospace",
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  cursorType: 'pointer',
  components: {
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 400, withArrow: true, fz: 'xs' } }),
  },
});
