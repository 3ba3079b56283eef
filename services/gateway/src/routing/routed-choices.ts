import { abortable, type EventQueue, linkedAbort } from '@tessera/flow';
import type { Usage } from '@tessera/protocol';
import type { AdmittedChoices } from '../admission/admitted-choices.js';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { ChoiceStates } from '../answer/choice-states.js';
import { requestUsage } from '../answer/request-usage.js';
import { EncodeDispatch } from './encode-dispatch.js';
import type { KnownConversation } from './prefix-affinity.js';
import type { PreparedRequest } from './prepared-request.js';
import { RoutedRequest, type RoutedRequestDependencies } from './routed-request.js';

/** What its choices have in common. */
export type PreparedChoices = Omit<PreparedRequest, 'choice'>;

export interface RoutedChoicesDependencies
  extends Omit<RoutedRequestDependencies, 'encodes' | 'state' | 'admitted' | 'onPromptComputed'> {
  /** As many as there are choices. */
  readonly admitted: AdmittedChoices;
  readonly tilesPerJob: number;
}

/** What of a request may be left when it has ended. */
export interface RequestRemains {
  readonly requestId: string;
  readonly encodes: EncodeDispatch;
  /** Whether work for it may still go on, or lie in a queue. */
  readonly leavesWork: boolean;
}

interface RoutedChoice {
  readonly routed: RoutedRequest;
  readonly encodes: EncodeDispatch;
}

const seeds = 2n ** 64n;

/**
 * Runs all choices of a request. Each is a sequence of its own for every stage, under its own id and seed, and is taken
 * over on its own; so what is promised of one answer holds for each. The first computes the prompt; the others begin when
 * it is in that engine's cache, where their pictures lie as well.
 */
export class RoutedChoices {
  private readonly choices: readonly RoutedChoice[];
  /** Those that were begun. */
  private begun = 0;
  private readonly computed: Promise<string>;

  constructor(
    request: PreparedChoices,
    private readonly answer: EventQueue<AnswerEventBody>,
    private readonly dependencies: RoutedChoicesDependencies,
  ) {
    const { admitted, tilesPerJob, ...shared } = dependencies;
    const states = new ChoiceStates(admitted.each.length, shared.lifecycle, (event) => answer.put(event));
    let onPromptComputed: (engineId: string) => void = () => undefined;
    this.computed = new Promise((resolve) => {
      onPromptComputed = resolve;
    });
    this.choices = admitted.each.map((each, choice) => {
      const prepared = ofChoice(request, choice);
      const encodes = new EncodeDispatch(shared.bus, tilesPerJob, request.items, prepared);
      const own = { encodes, state: states.of(choice), admitted: each, ...(choice === 0 ? { onPromptComputed } : {}) };
      return { routed: new RoutedRequest(prepared, answer, { ...shared, ...own }), encodes };
    });
  }

  /** Of each choice that was begun. */
  get remains(): RequestRemains[] {
    return this.choices.slice(0, this.begun).map(({ routed: { requestId, leavesWork }, encodes }) => ({
      requestId,
      encodes,
      leavesWork,
    }));
  }

  /**
   * Ends when nothing of any choice runs any more. One that fails ends them all.
   * @param known the engine that may have the prompt in its cache
   * @throws TesseraError the first failure
   */
  async run(known: KnownConversation | undefined, signal: AbortSignal): Promise<void> {
    using stop = linkedAbort(signal);
    const failures: unknown[] = [];
    const usages = await Promise.all(
      this.choices.map(async ({ routed }, choice) => {
        try {
          return await this.runOne(routed, choice, known, stop.signal);
        } catch (reason) {
          failures.push(reason);
          stop.abort(reason);
          return undefined;
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
    const { lifecycle } = this.dependencies;
    const usage = requestUsage(usages as [Usage, ...Usage[]]);
    this.answer.put({ $case: 'finished', value: { usage, spans: [...lifecycle.spans] } });
  }

  private async runOne(
    routed: RoutedRequest,
    choice: number,
    known: KnownConversation | undefined,
    signal: AbortSignal,
  ): Promise<Usage> {
    if (choice === 0) {
      this.begun++;
      return await routed.run(known, signal);
    }
    const engine = await abortable(this.computed, signal);
    this.begun++;
    return await routed.run({ engine, holdsPictures: true }, signal);
  }
}

/**
 * A choice is the answer that a request for one alone would get under its seed: that of the request plus the choice's
 * number. The first choice has the request's own id and seed.
 */
function ofChoice(request: PreparedChoices, choice: number): PreparedRequest {
  if (choice === 0) return { ...request, choice };
  const { requestId, text, draw } = request;
  return {
    ...request,
    requestId: `${requestId}-${choice}`,
    choice,
    text: { ...text, seed: seedOf(text.seed, choice) },
    draw: { ...draw, seed: seedOf(draw.seed, choice) },
  };
}

function seedOf(seed: bigint, choice: number): bigint {
  return (seed + BigInt(choice)) % seeds;
}
