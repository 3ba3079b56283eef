import type { Profile } from '../profile/profile.js';

/** A deployment in which nothing takes time but what a test says. */
export function plainProfile(changes: Partial<Profile> = {}): Profile {
  const nothing = { ms: 0, sigma: 0, cpuMs: 0, gatewayCpuMs: 0 };
  const replica = { cores: 1, startSeconds: 0 };
  return {
    format: 1,
    model: 'plain',
    revision: '0123456789ab',
    measured: '2026-11-30T00:00:00Z',
    coreHour: 1,
    machineCores: 2,
    tokensPerTile: 16,
    tokensPerPicture: 2,
    preprocessing: {
      background: [255, 255, 255],
      size: { height: 96, width: 96 },
      resample: 'bilinear',
      fit: 'pad',
      rescaleFactor: 1 / 255,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      highResolution: { mode: 'tile', tileSize: 96, maxTiles: 4, thumbnail: true },
    },
    gateway: { ...replica, maxInFlight: 1_000_000 },
    encoder: {
      ...replica,
      batchMs: [{ size: 1, ms: 10 }],
      maxBatch: 8,
      waitMs: 0,
      slots: 8,
      pictureMs: 0,
      megapixelMs: 0,
      tileMs: 0,
      tilesPerJob: 4,
    },
    connector: { ...replica, batchMs: [{ size: 1, ms: 0 }], maxBatch: 8, waitMs: 0, slots: 8 },
    llm: {
      ...replica,
      prefillMs: [{ size: 1, ms: 0 }],
      decodeMs: [
        { size: 1, ms: 1 },
        { size: 1024, ms: 1 },
      ],
      contextMs: 0,
      maxRunning: 16,
      maxWaiting: 1_000_000,
      maxWaitingForTiles: 1_000_000,
      maxStepTokens: 512,
      maxChunkTokens: 256,
      kvTokens: 1_000_000_000,
      kvTokenBytes: 0,
    },
    generator: { ...replica, stepMs: [{ size: 1, ms: 10 }], maxBatch: 4, slots: 8, defaultSteps: 20 },
    request: nothing,
    besideSigma: 0,
    finishMs: 0,
    token: nothing,
    picture: nothing,
    megapixel: nothing,
    drawing: nothing,
    ...changes,
  };
}
