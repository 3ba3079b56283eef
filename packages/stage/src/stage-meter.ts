import { busyRatio, busySecondsTotal, histogramMetric, type Metrics } from '@tessera/service';

const batchSize = histogramMetric('tessera_batch_size', {
  unit: 'count',
  help: 'Rows computed together: tiles or pictures.',
  labels: ['stage'],
  buckets: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128],
  from: 'encoder, connector, generator',
});

const windowMs = 5000;

export interface ComputedBatch {
  /** Rows computed together: tiles or pictures. */
  readonly size: number;
  readonly busyMs: number;
}

/** Keeps the metrics that every computing stage has: batch sizes, busy time, and its share of the last seconds. */
export class StageMeter {
  private readonly timer: NodeJS.Timeout;
  private busyMs = 0;
  private windowFrom = performance.now();

  constructor(
    private readonly metrics: Metrics,
    private readonly stage: string,
  ) {
    this.timer = setInterval(() => this.closeWindow(), windowMs).unref();
    this.closeWindow();
  }

  /** Counts a batch that was computed. */
  batch({ size, busyMs }: ComputedBatch): void {
    const { metrics, stage } = this;
    metrics.histogram(batchSize).observe({ stage }, size);
    metrics.counter(busySecondsTotal).inc({ stage }, busyMs / 1000);
    this.busyMs += busyMs;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private closeWindow(): void {
    const now = performance.now();
    const passedMs = now - this.windowFrom;
    const ratio = passedMs > 0 ? Math.min(1, this.busyMs / passedMs) : 0;
    this.metrics.gauge(busyRatio).set({ stage: this.stage }, ratio);
    this.windowFrom = now;
    this.busyMs = 0;
  }
}
