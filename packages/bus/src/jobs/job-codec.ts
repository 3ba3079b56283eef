import { ConnectJob, EncodeJob, GenerateJob, type JobKind } from '@tessera/protocol';

/** The message type of each kind of job. */
export interface JobMessages {
  encode: EncodeJob;
  connect: ConnectJob;
  generate: GenerateJob;
}

export type JobMessage<K extends JobKind> = JobMessages[K];

interface Codec<T> {
  encode(job: T): Uint8Array;
  decode(bytes: Uint8Array): T;
  /** The tile that stands in the job's subject. */
  tile(job: T): number;
}

export const jobCodecs: { readonly [K in JobKind]: Codec<JobMessages[K]> } = {
  encode: {
    encode: (job) => EncodeJob.encode(job).finish(),
    decode: (bytes) => EncodeJob.decode(bytes),
    tile: (job) => job.firstTile,
  },
  connect: {
    encode: (job) => ConnectJob.encode(job).finish(),
    decode: (bytes) => ConnectJob.decode(bytes),
    tile: (job) => job.tile,
  },
  generate: {
    encode: (job) => GenerateJob.encode(job).finish(),
    decode: (bytes) => GenerateJob.decode(bytes),
    tile: () => 0,
  },
};
