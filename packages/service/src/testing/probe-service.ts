import { sleep } from '@tessera/flow';
import type { GenerateResponse } from '@tessera/protocol';
import { isErrorCode, LlmServiceDefinition, LlmServiceDescribeResponse, TesseraError } from '@tessera/protocol';
import type { ServiceImplementation } from 'nice-grpc';
import type { CallFacts } from '../grpc/call-facts.js';
import { type GrpcService, grpcService } from '../grpc/grpc-service.js';
import type { Service } from '../service/service.js';
import { type CommonSettings, commonSettings } from '../settings/common-settings.js';
import { currentTraceId } from '../telemetry/trace.js';

/** What the probe's handlers met, in order. */
export interface ProbeRecord {
  readonly requestId: string;
  readonly deadlineMs: number;
  /** When the handler began, Unix ms. */
  readonly begunMs: number;
  /** The trace_id at the handler's begin and after it waited. */
  readonly traceIds: Array<string | undefined>;
  /** Why the handler's signal aborted. */
  abortedFor?: unknown;
  ended?: boolean;
}

export interface ProbeOptions {
  readonly ready?: Promise<void>;
  readonly onArrival?: GrpcService['onArrival'];
}

/**
 * A small service for tests of this package, with the contract of LlmService. The request's id says what Generate does:
 * `text N` writes N tokens; `wait` goes on until its signal aborts; `deaf` does not heed the signal; `drain` goes on
 * until the drain begins, then ends by itself; `fail CODE` throws that error of the table; `say TEXT` throws one that says
 * TEXT; `long N` writes one token of N letters; `fault` throws a foreign error; `named WHAT` first says that the request's
 * id is `the-request`.
 */
export function probeService(records: ProbeRecord[] = [], options: ProbeOptions = {}): Service<CommonSettings> {
  return {
    name: 'llm',
    settings: commonSettings,
    async start({ drain, log }) {
      const running = new Set<Promise<void>>();
      const implementation: ServiceImplementation<typeof LlmServiceDefinition, CallFacts> = {
        async describe() {
          return LlmServiceDescribeResponse.fromPartial({ contextTokens: 512 });
        },
        async *generate(request, context) {
          const record: ProbeRecord = {
            requestId: request.requestId,
            deadlineMs: context.deadlineMs,
            begunMs: Date.now(),
            traceIds: [currentTraceId()],
          };
          records.push(record);
          context.log.info({ request_id: request.requestId }, 'generating');
          context.signal.addEventListener('abort', () => {
            record.abortedFor = context.signal.reason;
          });
          let end = () => {};
          const ended = new Promise<void>((resolve) => {
            end = resolve;
          });
          // Nobody could wait for a handler that is deaf to its signal.
          if (request.requestId !== 'deaf') running.add(ended);
          try {
            const named = request.requestId.startsWith('named ');
            if (named) context.setRequestId('the-request');
            yield* act(named ? request.requestId.slice('named '.length) : request.requestId, context.signal, drain);
          } finally {
            record.traceIds.push(currentTraceId());
            record.ended = true;
            running.delete(ended);
            end();
          }
        },
      };
      const { onArrival } = options;
      return {
        services: [grpcService(LlmServiceDefinition, implementation, { onArrival })],
        ready: options.ready,
        async stop() {
          log.info('the probe stops');
          await Promise.all(running);
        },
      };
    },
  };
}

async function* act(what: string, signal: AbortSignal, drain: AbortSignal): AsyncGenerator<GenerateResponse> {
  const [action, ...words] = what.split(' ');
  const argument = words.join(' ');
  switch (action) {
    case 'text':
      for (let index = 0; index < Number(argument); index++) {
        await sleep(0, signal);
        yield token(String(index));
      }
      return;
    case 'wait':
      yield token('waiting');
      await sleep(2 ** 30, signal);
      return;
    case 'deaf':
      yield token('deaf');
      await new Promise(() => {});
      return;
    case 'drain':
      yield token('until the drain');
      await sleep(2 ** 30, drain).catch(() => {});
      yield { event: { $case: 'drain', value: {} } };
      return;
    case 'fail':
      throw isErrorCode(argument)
        ? new TesseraError(argument, `asked to fail with ${argument}`, { retryAfterMs: 1500, field: 'request_id' })
        : new Error(`no code ${argument}`);
    case 'long':
      yield token('x'.repeat(Number(argument)));
      return;
    case 'say':
      throw new TesseraError('REQUEST_INVALID', argument, { field: argument });
    default:
      throw new Error('a secret of the implementation');
  }
}

function token(text: string): GenerateResponse {
  return { event: { $case: 'tokens', value: { tokenIds: [], text, logprobs: [] } } };
}
