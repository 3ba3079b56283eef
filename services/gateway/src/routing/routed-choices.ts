import { type EventQueue, linkedAbort } from '@tessera/flow';
import type { Usage } from '@tessera/protocol';
import type { AdmittedChoices } from '../admission/admitted-choices.js';
import type { QueueAttendance } from '../admission/queue-attendance.js';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { ChoiceStates } from '../answer/choice-states.js';
import { requestUsage } from '../answer/request-usage.js';
import { type AwaitedListener, AwaitedStages } from './awaited-stages.js';
import { EncodeDispatch } from './encode-dispatch.js';
import type { KnownConversation } from './prefix-affinity.js';
import type { PreparedRequest } from './prepared-request.js';
import { RoutedRequest, type RoutedRequestDependencies } from './routed-request.js';
import { SharedPrompt } from './shared-prompt.js';

/** What its choices have in common. */
export type PreparedChoices = Omit<PreparedRequest, 'choice'>;

export interface RoutedChoicesDependencies
  extends Omit<RoutedRequestDependencies, 'encodes' | 'state' | 'admitted' | 'prompt' | 'awaited'> {
  /** The engine that may have the prompt from an earlier request. */
  readonly known: KnownConversation | undefined;
  /** As many as there are choices. */
  readonly admitted: AdmittedChoices;
  readonly tilesPerJob: number;
  readonly attendance: QueueAttendance;
  readonly onAwaited: AwaitedListener;
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
 * over on its own; so what is promised of one answer holds for each. The prompt and its pictures they have in common.
 */
export class RoutedChoices {
  private readonly choices: readonly RoutedChoice[];
  private readonly awaited: AwaitedStages;

  constructor(
    request: PreparedChoices,
    private readonly answer: EventQueue<AnswerEventBody>,
    private readonly dependencies: RoutedChoicesDependencies,
  ) {
    const { known, admitted, tilesPerJob, attendance, onAwaited, ...shared } = dependencies;
    const put = (event: AnswerEventBody): void => void answer.put(event);
    const prompt = new SharedPrompt(known);
    const states = new ChoiceStates(admitted.each.length, shared.lifecycle, put);
    const { bus, lifecycle } = shared;
    const { deadlineMs } = request;
    this.awaited = new AwaitedStages({ attendance, bus, lifecycle, put, onAwaited, deadlineMs });
    this.choices = admitted.each.map((each, choice) => {
      const prepared = ofChoice(request, choice);
      const encodes = new EncodeDispatch(shared.bus, tilesPerJob, request.items, prepared);
      const own = { prompt, encodes, state: states.of(choice), admitted: each, awaited: this.awaited };
      return { routed: new RoutedRequest(prepared, answer, { ...shared, ...own }), encodes };
    });
  }

  /** Of each choice that was begun. */
  get remains(): RequestRemains[] {
    return this.choices.flatMap(({ routed: { begun, requestId, leavesWork }, encodes }) =>
      begun ? [{ requestId, encodes, leavesWork }] : [],
    );
  }

  /**
   * Ends when nothing of any choice runs any more. One that fails ends them all.
   * @throws TesseraError the first failure
   */
  async run(signal: AbortSignal): Promise<void> {
    using stop = linkedAbort(signal);
    using awaited = this.awaited;
    awaited.watch(
      this.choices.map(({ routed }) => routed),
      (error) => stop.abort(error),
    );
    const failures: unknown[] = [];
    const runOne = async ({ routed }: RoutedChoice): Promise<Usage | undefined> => {
      try {
        return await routed.run(stop.signal);
      } catch (reason) {
        failures.push(reason);
        stop.abort(reason);
        return undefined;
      }
    };
    // What listens for generators ends with the signal, and with nothing else.
    const usages = await Promise.all(this.choices.map(runOne)).finally(() => stop.abort());
    if (failures.length > 0) throw failures[0];
    const { lifecycle } = this.dependencies;
    const usage = requestUsage(usages as [Usage, ...Usage[]]);
    this.answer.put({ $case: 'finished', value: { usage, spans: [...lifecycle.spans] } });
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
