import { type Bundle, modelInfo, readBundle } from '@tessera/bundle';
import { connectBus } from '@tessera/bus';
import { defaultMediaLimits } from '@tessera/media';
import {
  type ChatServiceDescribeResponse,
  drawingEvents,
  durationOf,
  Modality,
  type Model,
  type ModelInfo,
  maxPartBytes,
} from '@tessera/protocol';
import {
  clientCredentials,
  modelInfoGauge,
  type Service,
  type ServiceContext,
  type ServiceParts,
  type Settings,
} from '@tessera/service';
import { ClientLimits } from './admission/client-limits.js';
import { QueueAttendance } from './admission/queue-attendance.js';
import { RequestAdmission } from './admission/request-admission.js';
import { sampleQueues } from './admission/sample-queues.js';
import { UploadShares } from './admission/upload-shares.js';
import { Chat, type ChatLimits } from './chat.js';
import { gatewaySettings } from './config.js';
import { chatService } from './doors/chat-service.js';
import { MediaBudget } from './intake/media-intake.js';
import type { MediaModel } from './intake/media-plan.js';
import { gatewayMediaBytes, gatewayRequestsLimit, gatewayRequestsTaken } from './metric-declarations.js';
import { observeRequests } from './observe-requests.js';
import { removeAbandonedInboxes } from './routing/abandoned-inboxes.js';
import { EnginePool } from './routing/engine-pool.js';
import { ForeignEngines } from './routing/foreign-engines.js';

type GatewaySettings = Settings<typeof gatewaySettings>;

/** The gateway as a service: what `main.ts` runs, and what a composition root may start in its own process. */
export const gateway: Service<typeof gatewaySettings> = {
  name: 'gateway',
  settings: gatewaySettings,
  async start(context: ServiceContext<typeof gatewaySettings>): Promise<ServiceParts> {
    const { settings } = context;
    // What the gateway must know stands in the manifest; it computes nothing, and needs no file of the model.
    const bundle = await readBundle(settings['model.dir'], []);
    const model = modelInfo(bundle.manifest);
    const credentials = engineCredentials(context);
    const bus = await connectBus(context, model.revision);
    const watch = new AbortController();
    const drawings = await bus.openInbox(drawingEvents);
    void bus.tidy(watch.signal);
    const directory = bus.watchEngines(watch.signal);
    removeAbandonedInboxes(directory, bus, watch.signal);
    const strangers = new ForeignEngines({ version: bus.version, revision: model.revision });
    const onStrangers = (reason: string): void => context.log.warn({ event: 'foreign_engines', reason }, reason);
    void strangers.watch(bus, directory, onStrangers, watch.signal);
    const engines = new EnginePool(directory, {
      strangers: () => strangers.inWords,
      waitMs: settings['engines.waitMs'],
      expectMs: settings['engines.expectMs'],
      retryAfterMs: () => admission.engineRetryMs(),
      calls: { credentials, serverName: settings['engines.serverName'] },
    });
    const admission = new RequestAdmission({
      engines,
      safety: settings['admission.safety'],
      drawSteps: bundle.manifest.generator?.defaultSteps,
    });
    const limits = limitsFrom(settings);
    context.metrics.gauge(gatewayRequestsLimit).set(limits.requests);
    const attendance = new QueueAttendance();
    const { onFirstText, ...observer } = observeRequests(context, { bus, directory, attendance, signal: watch.signal });
    context.metrics
      .gauge(modelInfoGauge)
      .set({ name: model.name, revision: model.revision, weights: bundle.manifest.weights }, 1);
    void sampleQueues(bus, { admission, attendance }, watch.signal);
    const mediaBytes = context.metrics.gauge(gatewayMediaBytes);
    const chat = new Chat({
      bus,
      drawings,
      canDraw: bundle.manifest.generator !== undefined,
      engines,
      model,
      media: mediaModel(bundle),
      limits,
      admission,
      attendance,
      clients: new ClientLimits(
        { requests: settings['clients.maxRequests'], bytes: settings['clients.maxHeldBytes'] },
        new MediaBudget(settings['media.maxHeldBytes'], (bytes) => mediaBytes.set(bytes)),
      ),
      uploads: new UploadShares({ bytes: settings['clients.maxUploadedBytes'] }),
      ...observer,
    });
    context.metrics.gaugeAtScrape(gatewayRequestsTaken, (gauge) => gauge.set(chat.inFlight));
    return {
      services: [
        chatService(chat, describe(bundle, model, limits, settings), {
          drain: context.drain,
          pauseMs: limits.pauseMs,
          clientKey: settings['clients.key'],
          onFirstText,
        }),
      ],
      async stop() {
        await chat.idle();
        watch.abort();
        engines.close();
        await bus.close();
      },
    };
  },
};

/** @throws TesseraError CONFIG_INVALID when a file cannot be used */
function engineCredentials({ settings, log }: ServiceContext<typeof gatewaySettings>) {
  const files = {
    caFile: settings['engines.caFile'],
    certFile: settings['engines.certFile'],
    keyFile: settings['engines.keyFile'],
  };
  return clientCredentials(files, {
    refreshMs: settings['grpc.certRefreshMs'],
    onTrouble: (error) =>
      log.error({ reason: error.message }, 'renewed certificates cannot be used; the old ones stay'),
  });
}

function limitsFrom(settings: GatewaySettings): ChatLimits {
  return {
    messages: settings['requests.maxMessages'],
    textCharacters: settings['requests.maxTextCharacters'],
    mediaItems: settings['media.maxItems'],
    stopTexts: 16,
    maxSteps: settings['draw.maxSteps'],
    maxGuidance: settings['draw.maxGuidance'],
    maxPriority: settings['clients.maxPriority'],
    itemBytes: settings['media.maxBytes'],
    partBytes: maxPartBytes,
    mediaPixels: settings['media.maxPixels'],
    requests: settings['requests.maxInFlight'],
    tilesPerJob: settings['encode.tilesPerJob'],
    attempts: settings['requests.maxAttempts'],
    pauseMs: settings['requests.maxPauseMs'],
    // More would be refused however often it is tried again.
    choices: Math.min(
      settings['requests.maxChoices'],
      settings['clients.maxRequests'],
      settings['requests.maxInFlight'],
    ),
  };
}

function mediaModel({ manifest }: Pick<Bundle, 'manifest'>): MediaModel | undefined {
  const { connector, preprocessing } = manifest;
  if (connector === undefined || preprocessing === undefined) return undefined;
  return { preprocessing, tokensPerTile: connector.tokens };
}

function describe(
  { manifest }: Bundle,
  info: ModelInfo,
  limits: ChatLimits,
  settings: GatewaySettings,
): ChatServiceDescribeResponse & { model: Model & { info: ModelInfo } } {
  const contextTokens = manifest.llm.maxPositions;
  const pictures = mediaModel({ manifest }) === undefined ? [] : [Modality.IMAGE];
  const drawings = manifest.generator === undefined ? [] : [Modality.IMAGE];
  return {
    model: {
      info,
      inputModalities: [Modality.TEXT, ...pictures],
      outputModalities: [Modality.TEXT, ...drawings],
      contextTokens,
    },
    limits: {
      contextTokens,
      mediaItems: limits.mediaItems,
      mediaBytes: BigInt(Math.min(limits.itemBytes, defaultMediaLimits.maxBytes)),
      mediaPixels: BigInt(limits.mediaPixels),
      partBytes: limits.partBytes,
      messages: limits.messages,
      textCharacters: limits.textCharacters,
      maxDeadline: durationOf(settings['grpc.maxDeadlineMs']),
      defaultDeadline: durationOf(Math.min(settings['grpc.defaultDeadlineMs'], settings['grpc.maxDeadlineMs'])),
      choices: limits.choices,
    },
  };
}
