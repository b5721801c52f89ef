/** `npm run soak`. Options: `npm run soak -- --help`. */
import { runHarness } from '../support/run-harness.mjs';

await runHarness('soak', ['test/soak/inside.mjs']);
