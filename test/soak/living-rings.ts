/** One process of `npm run soak -- ring`: plays the rings that it is sent, one after the other. */
import { falseVerdicts, type LongRunOptions } from '../../p2p-core/src/ring/testing/long-run.ts';

if (import.meta.main) process.on('message', (ask: LongRunOptions) => process.send?.(falseVerdicts(ask)));
