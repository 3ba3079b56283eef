import { abortError } from '@tessera/flow';
import { RandomStream } from '@tessera/inference';
import { elementCount, type Float32Tensor, TesseraError, tensor } from '@tessera/protocol';
import { fullCondition } from './condition.js';
import type { DenoiseRow, GeneratorEngine, GeneratorModel } from './engine.js';
import { eulerStep } from './euler-step.js';
import { sigmas } from './sigmas.js';
import { StepTime } from './step-time.js';

/** Where a drawing starts: a seed with the drawing's number in its request, or the noise itself, [channels, height, width]. */
export type Noise = { readonly seed: bigint; readonly index: number } | Float32Tensor;

/** One picture to draw. */
export interface Drawing {
  /** [rows, conditionWidth], rows up to conditionLength. */
  readonly condition: Float32Tensor;
  readonly noise: Noise;
  /** Absent: the model's default. */
  readonly steps?: number;
  /** Classifier-free guidance; 1 is none. Absent: the model's default. */
  readonly guidance?: number;
}

/** A drawn picture, and what it took. */
export interface Picture {
  /** [channels, height, width], -1 to 1; what the network overshoots is cut off. */
  readonly image: Float32Tensor;
  /** Milliseconds that the drawing waited for a place in the batch. */
  readonly queueMs: number;
  /** Milliseconds from its first step to its last. */
  readonly busyMs: number;
}

export interface SamplerLimits {
  /** The most pictures that one step computes together. */
  readonly maxBatch: number;
  /** The most drawings that may wait for a place; one more is refused with QUEUE_FULL. */
  readonly maxWaiting: number;
  readonly maxSteps: number;
  readonly maxGuidance: number;
}

export interface DrawCall {
  readonly signal: AbortSignal;
  /** When the picture must be done, Unix milliseconds: one that would be late is not begun. */
  readonly deadlineMs?: number;
  /** Told after each step how many are done. */
  onStep?(step: number, steps: number): void;
}

/** Told of what happens, for metrics. */
export interface SamplerObserver {
  /** A step was computed: how many pictures it advanced, and how long it took. */
  onBatch?(batch: { readonly size: number; readonly busyMs: number }): void;
  /** A picture was finished. */
  onPicture?(): void;
  /** So many drawings wait for a place in the batch now. */
  onWaiting?(count: number): void;
}

interface Active {
  readonly z: Float32Array;
  readonly condition: Float32Array;
  readonly startedAt: number;
  /** Steps done. */
  step: number;
}

interface Task {
  readonly drawing: Drawing;
  readonly condition: Float32Array;
  readonly steps: number;
  readonly guidance: number;
  readonly sigmas: readonly number[];
  readonly call: DrawCall;
  readonly enqueuedAt: number;
  settled: boolean;
  active?: Active;
  resolve(picture: Picture): void;
  reject(error: TesseraError): void;
}

const retryAfterMs = 1000;

/**
 * Draws pictures of different requests together: each step of the loop advances every picture in work by one step of its
 * own schedule, so one joins at the next step and leaves after its last. A picture does not depend on its company.
 */
export class Sampler {
  private waiting: Task[] = [];
  private running: Task[] = [];
  private readonly stepTime = new StepTime();
  private loop: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly engine: GeneratorEngine,
    readonly limits: SamplerLimits,
    private readonly observer: SamplerObserver = {},
  ) {}

  get model(): GeneratorModel {
    return this.engine.model;
  }

  /** Drawings in work. */
  get runningCount(): number {
    return this.running.length;
  }

  /** Milliseconds that a drawing surely takes from its first step; 0 while nothing is known. */
  leastMs(steps = this.model.defaultSteps): number {
    return this.stepTime.leastMsOf(steps);
  }

  /**
   * Draws one picture.
   * @throws TesseraError REQUEST_INVALID on steps or guidance out of range; TENSOR_INVALID on a condition or noise of
   *   another shape; QUEUE_FULL; DRAINING after `close`; CANCELLED or DEADLINE_EXCEEDED by the signal, at once; DEADLINE_EXCEEDED when
   *   its turn comes too late
   */
  async draw(drawing: Drawing, call: DrawCall): Promise<Picture> {
    const { defaultSteps, defaultGuidance, nullCondition, shift } = this.model;
    const { steps = defaultSteps, guidance = defaultGuidance } = drawing;
    const { maxSteps, maxGuidance, maxWaiting } = this.limits;
    if (!Number.isInteger(steps) || steps < 1 || steps > maxSteps) {
      throw TesseraError.invalidField('steps', `must be 1 to ${maxSteps}, not ${steps}`);
    }
    if (!(guidance >= 0 && guidance <= maxGuidance)) {
      throw TesseraError.invalidField('guidance', `must be 0 to ${maxGuidance}, not ${guidance}`);
    }
    this.checkNoise(drawing.noise);
    const condition = fullCondition(nullCondition, drawing.condition);
    if (call.signal.aborted) throw abortError(call.signal);
    if (this.closed) throw new TesseraError('DRAINING', 'this generator is shutting down');
    if (this.waiting.length >= maxWaiting) {
      throw new TesseraError('QUEUE_FULL', `${maxWaiting} drawings are waiting, which is the limit`, { retryAfterMs });
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        task.settled = true;
        call.signal.removeEventListener('abort', leave);
      };
      const task: Task = {
        drawing,
        condition,
        steps,
        guidance,
        sigmas: sigmas(steps, shift),
        call,
        enqueuedAt: performance.now(),
        settled: false,
        resolve: (picture) => {
          settle();
          resolve(picture);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      // One in work leaves the batch when the step under way is done; its caller need not wait for that.
      const leave = (): void => {
        this.waiting = this.waiting.filter((other) => other !== task);
        this.tellWaiting();
        task.reject(abortError(call.signal));
      };
      call.signal.addEventListener('abort', leave);
      this.waiting.push(task);
      this.tellWaiting();
      this.loop ??= this.run();
    });
  }

  /** Refuses new drawings and resolves when those admitted are done. */
  async close(): Promise<void> {
    this.closed = true;
    await this.loop;
  }

  private async run(): Promise<void> {
    // The callers of one turn of the event loop begin together.
    await Promise.resolve();
    for (;;) {
      this.running = this.running.filter((task) => !task.settled);
      while (this.running.length < this.limits.maxBatch) {
        const task = this.waiting.shift();
        if (task === undefined) break;
        if (!this.refuseLate(task)) this.running.push(task);
      }
      this.tellWaiting();
      if (this.running.length === 0) {
        // Here, not when the promise has settled: a drawing that came in between would wait for ever.
        this.loop = undefined;
        return;
      }
      try {
        await this.step(this.running);
      } catch (reason) {
        const error = TesseraError.from(reason);
        for (const task of this.running) if (!task.settled) task.reject(error);
      }
    }
  }

  private tellWaiting(): void {
    this.observer.onWaiting?.(this.waiting.length);
  }

  /** What is begun too late takes the time of those that could still be in time. */
  private refuseLate({ call: { deadlineMs }, steps, reject }: Task): boolean {
    const takesMs = this.stepTime.expectedMs(steps, this.running.length + 1);
    if (deadlineMs === undefined || Date.now() + takesMs <= deadlineMs) return false;
    const leftMs = Math.max(0, deadlineMs - Date.now());
    const message = `the drawing's turn came with ${leftMs} ms left, and it takes ${Math.ceil(takesMs)} ms; it was not begun`;
    reject(new TesseraError('DEADLINE_EXCEEDED', message, { stage: 'generator' }));
    return true;
  }

  private async step(tasks: readonly Task[]): Promise<void> {
    const startedAt = performance.now();
    const rows: DenoiseRow[] = [];
    for (const task of tasks) {
      task.active ??= { z: this.startingNoise(task.drawing.noise), condition: task.condition, startedAt, step: 0 };
      const { z: sample, condition, step } = task.active;
      const sigma = task.sigmas[step] as number;
      rows.push({ sample, sigma, condition });
      if (task.guidance !== 1) rows.push({ sample, sigma, condition: this.model.nullCondition.data });
    }
    const predicted = (await this.engine.predict(rows)).values();
    const endedAt = performance.now();
    this.stepTime.took(endedAt - startedAt, tasks.length, endedAt);
    this.observer.onBatch?.({ size: tasks.length, busyMs: endedAt - startedAt });
    for (const task of tasks) {
      const conditional = predicted.next().value as Float32Array;
      const unconditional = task.guidance === 1 ? undefined : predicted.next().value;
      if (task.settled || task.active === undefined) continue;
      this.advance(task, task.active, conditional, unconditional);
    }
  }

  private advance(task: Task, active: Active, conditional: Float32Array, unconditional?: Float32Array): void {
    const { predictionType, channels, height, width } = this.model;
    const from = task.sigmas[active.step] as number;
    const to = task.sigmas[active.step + 1] as number;
    eulerStep(active.z, conditional, unconditional, { predictionType, from, to, guidance: task.guidance });
    active.step++;
    task.call.onStep?.(active.step, task.steps);
    if (active.step < task.steps) return;
    this.observer.onPicture?.();
    const image = active.z.map((value) => Math.min(1, Math.max(-1, value)));
    task.resolve({
      image: tensor('float32', [channels, height, width], image),
      queueMs: active.startedAt - task.enqueuedAt,
      busyMs: performance.now() - active.startedAt,
    });
  }

  private checkNoise(noise: Noise): void {
    const shape = this.pictureShape;
    if ('shape' in noise && noise.shape.join() !== shape.join()) {
      const given = noise.shape.join(', ');
      throw new TesseraError('TENSOR_INVALID', `the noise must be [${shape.join(', ')}], not [${given}]`);
    }
  }

  private startingNoise(noise: Noise): Float32Array {
    if ('shape' in noise) return noise.data.slice();
    return new RandomStream(noise.seed, 'noise', noise.index).normals(elementCount(this.pictureShape));
  }

  private get pictureShape(): readonly number[] {
    const { channels, height, width } = this.model;
    return [channels, height, width];
  }
}
