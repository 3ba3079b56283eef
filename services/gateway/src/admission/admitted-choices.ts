import type { AdmittedRequest, RequestAdmission, RequestOutline } from './request-admission.js';

/** A request whose choices are all admitted, each with a place of its own. Dispose of it when the request has ended. */
export class AdmittedChoices implements Disposable {
  /** By choice. */
  readonly each: readonly AdmittedRequest[];

  /**
   * Admits all of them or none.
   * @throws TesseraError QUEUE_FULL when one of them would find no room, or come too late; REQUEST_INVALID when there is
   *   not room for so many even where nothing else runs
   */
  constructor(admission: RequestAdmission, outline: RequestOutline, choices: number) {
    admission.refuseUnplaceable(choices);
    const each: AdmittedRequest[] = [];
    try {
      while (each.length < choices) each.push(admission.admit(outline));
    } catch (reason) {
      for (const admitted of each) admitted[Symbol.dispose]();
      throw reason;
    }
    this.each = each;
  }

  /**
   * The media are whole, and are encoded for the first choice: the others find them in an engine's cache.
   * @param jobs 0 where an engine likely has them already
   * @throws TesseraError as AdmittedRequest's
   */
  encodes(jobs: number): void {
    const [first, ...others] = this.each;
    for (const admitted of others) admitted.encodes(0);
    // Last: where another choice finds no room none of the jobs is sent.
    first?.encodes(jobs);
  }

  [Symbol.dispose](): void {
    for (const admitted of this.each) admitted[Symbol.dispose]();
  }
}
