import type { Session } from '@tessera/inference';
import { type Float32Tensor, TesseraError, tensor } from '@tessera/protocol';
import type { PredictionType } from './euler-step.js';

/** What the model is, as its bundle's manifest says. */
export interface GeneratorModel {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly conditionLength: number;
  readonly conditionWidth: number;
  /** The network is told sigma times this. */
  readonly numTrainTimesteps: number;
  /** Bends the sigmas; 1 leaves them linear. */
  readonly shift: number;
  readonly predictionType: PredictionType;
  readonly defaultSteps: number;
  readonly defaultGuidance: number;
  /** float32 [conditionLength, conditionWidth]: the condition of "nothing asked for". */
  readonly nullCondition: Float32Tensor;
}

/** One row of a batch: a noisy picture at its own noise level, under its own condition. */
export interface DenoiseRow {
  /** channels * height * width numbers. */
  readonly sample: Float32Array;
  readonly sigma: number;
  /** conditionLength * conditionWidth numbers. */
  readonly condition: Float32Array;
}

const input = { sample: 'sample', timestep: 'timestep', condition: 'condition' } as const;
const output = 'predicted';

/** The denoising network. Rows of a batch do not influence each other. */
export class GeneratorEngine {
  constructor(
    private readonly session: Session,
    readonly model: GeneratorModel,
  ) {}

  /**
   * One call of the network.
   * @returns for each row its prediction, of the sample's size; views into one buffer
   */
  async predict(rows: readonly DenoiseRow[]): Promise<Float32Array[]> {
    const { channels, height, width, conditionLength, conditionWidth, numTrainTimesteps } = this.model;
    const sampleSize = channels * height * width;
    const conditionSize = conditionLength * conditionWidth;
    const samples = new Float32Array(rows.length * sampleSize);
    const timesteps = new Float32Array(rows.length);
    const conditions = new Float32Array(rows.length * conditionSize);
    for (const [at, row] of rows.entries()) {
      samples.set(row.sample, at * sampleSize);
      timesteps[at] = row.sigma * numTrainTimesteps;
      conditions.set(row.condition, at * conditionSize);
    }
    const feeds = {
      [input.sample]: tensor('float32', [rows.length, channels, height, width], samples),
      [input.timestep]: tensor('float32', [rows.length], timesteps),
      [input.condition]: tensor('float32', [rows.length, conditionLength, conditionWidth], conditions),
    };
    const predicted = (await this.session.run(feeds, [output]))[output];
    if (predicted?.dtype !== 'float32' || predicted.data.length !== rows.length * sampleSize) {
      throw new TesseraError('INTERNAL', `the graph gave ${output} of an unexpected shape or type`);
    }
    const data = predicted.data as Float32Array;
    return rows.map((_, at) => data.subarray(at * sampleSize, (at + 1) * sampleSize));
  }
}
