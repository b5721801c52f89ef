import type * as walker from '../../src/watch/tree-walker.js';

/** The compiled walker: see watch-build.ts. */
const dist = new URL(`${process.env['SERSYNC_DIST'] ?? new URL('../../dist', import.meta.url).pathname}/`, 'file:');

export const { ThreadWalker } = (await import(
  /* @vite-ignore */ new URL('watch/tree-walker.js', dist).href
)) as typeof walker;
