import type { Results } from './results.js';

export function writeDocumentation(results: Results, root: string): void {
  throw new Error(`not yet ${results.command} ${root}`);
}
