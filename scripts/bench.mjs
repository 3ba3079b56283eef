// Measures speed and memory on the demo model and prints tables; `npm run bench -- --help` says what there is.
import { main } from '../bench/dist/main.js';

process.exitCode = await main(process.argv.slice(2));
