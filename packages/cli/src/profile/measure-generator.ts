import type { Profile } from '@tessera/adviser';
import { encodeTensorParts, GeneratorServiceDefinition, tensor } from '@tessera/protocol';
import { createClient } from '@tessera/service';
import type { StageAddress } from './deployment.js';
import { closing, reach, requireRevision } from './measure-tiles.js';
import type { Measuring } from './measuring.js';
import { curveOf, doubling, median, repeat, together } from './statistics.js';

const steps = 8;

export interface MeasuredGenerator {
  readonly stepMs: Profile['llm']['prefillMs'];
  readonly maxBatch: number;
  readonly defaultSteps: number;
  /** From the last step of a drawing that is alone to its file, and all around it. */
  readonly aroundMs: number;
}

/** The generator's steps, by its own gRPC: so many drawings at once. */
export async function measureGenerator(
  { signal, channel, manifest, meter, times, tell }: Measuring,
  address: StageAddress,
): Promise<MeasuredGenerator> {
  using client = closing(createClient(GeneratorServiceDefinition, address.grpc, channel));
  const about = await reach('generator', address, () => client.describe({}, { signal }));
  requireRevision('generator', about.model?.revision, manifest.revision);
  const { maxBatch, defaultSteps, conditionWidth } = about;
  const condition = tensor('float32', [1, conditionWidth], new Float32Array(conditionWidth).fill(0.1));
  const draw = async (seed: number): Promise<number> => {
    const startedAt = performance.now();
    const requests = (async function* () {
      yield { body: { $case: 'start' as const, value: { options: { steps, seed: BigInt(seed) } } } };
      for (const value of encodeTensorParts(condition, 'float32')) {
        yield { body: { $case: 'condition' as const, value } };
      }
    })();
    for await (const _ of client.draw(requests, { signal }));
    return performance.now() - startedAt;
  };
  await draw(0);
  const points: { size: number; ms: number }[] = [];
  let aroundMs = 0;
  for (const drawings of doubling(maxBatch)) {
    tell(`generator: ${drawings} drawings at once`);
    const took: number[][] = [];
    const spent = await meter.during(async () => {
      took.push(...(await repeat(times(4), () => together(drawings, draw))));
    });
    const { count, rows } = spent.batches('generator');
    if (count === 0) continue;
    points.push({ size: rows / count, ms: spent.busyMs('generator') / count });
    if (drawings === 1) aroundMs = median(took.flat()) - (steps * spent.busyMs('generator')) / count;
  }
  return { stepMs: curveOf(points), maxBatch, defaultSteps, aroundMs: Math.max(0, aroundMs) };
}
