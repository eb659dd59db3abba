// The bundle is committed and embedded in the binary, so the build has to give the same bytes
// for the same sources: no dates, no absolute paths, names from content hashes only.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const backend = process.env['ROOKERY_URL'] ?? 'http://127.0.0.1:8480';

export default defineConfig({
  // Relative, so that the page also works behind a proxy that serves it under a prefix.
  base: './',
  plugins: [react()],
  build: {
    target: 'es2022',
    sourcemap: false,
    license: { fileName: 'third-party-licenses.md' },
    chunkSizeWarningLimit: 900,
    rolldownOptions: {
      output: {
        // What changes seldom stands in files of its own, so that a change of the page is a small
        // change of the committed bundle.
        codeSplitting: {
          groups: [
            { name: 'editor', test: /node_modules[\\/]@(codemirror|lezer|marijn)[\\/]/ },
            { name: 'vendor', test: /node_modules[\\/]/ },
          ],
        },
        entryFileNames: 'assets/[name]-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ['/select', '/insert', '/api'].map((path) => [path, { target: backend }]),
    ),
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
  },
});
