// Writes a LLaMA of SmolLM2 135M's shape with random weights, to measure and try things with where nothing can be downloaded:
//   node scripts/random-llama.mjs FOLDER            a checkpoint, which `tessera up --model FOLDER` serves (it says nothing sensible)
//   node scripts/random-llama.mjs FILE.gguf [Q8_0]  a GGUF file, in Q4_0 unless told otherwise
import { writeCheckpoint } from '../bench/dist/random-llama/write-checkpoint.js';
import { writeGguf } from '../bench/dist/random-llama/write-gguf.js';

const [target, weights = 'Q4_0'] = process.argv.slice(2);
if (target === undefined || !['Q4_0', 'Q8_0'].includes(weights)) {
  console.error('Usage: node scripts/random-llama.mjs FOLDER | FILE.gguf [Q4_0 | Q8_0]');
  process.exitCode = 2;
} else if (target.endsWith('.gguf')) {
  await writeGguf(target, weights);
} else {
  await writeCheckpoint(target);
}
