/** `npm run bench`. Options: `npm run bench -- --help`. */
import { runHarness } from '../support/run-harness.mjs';

await runHarness('bench');
