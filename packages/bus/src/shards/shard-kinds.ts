import { ExpertShardStatus, LayerShardStatus, type Subjects } from '@tessera/protocol';

/** What every announcement of a shard has. */
export interface ShardStatus {
  /** A new one each start. */
  readonly shardId: string;
  /** host:port. */
  readonly address: string;
  readonly holdings?: { readonly draining: boolean } | undefined;
}

/** A kind of shards, as far as its announcements are concerned. */
export interface ShardKind<Status extends ShardStatus> {
  readonly name: 'experts' | 'layers';
  /** As in `an expert shard`. */
  readonly inWords: string;
  readonly codec: {
    encode(status: Status): { finish(): Uint8Array };
    decode(bytes: Uint8Array): Status;
  };
  subject(subjects: Subjects): string;
  /** What the log says of one. */
  facts(status: Status): Readonly<Record<string, unknown>>;
}

export const expertShards: ShardKind<ExpertShardStatus> = {
  name: 'experts',
  inWords: 'an expert shard',
  codec: ExpertShardStatus,
  subject: (subjects) => subjects.experts(),
  facts: ({ group }) => ({ group }),
};

export const layerShards: ShardKind<LayerShardStatus> = {
  name: 'layers',
  inWords: 'a layer shard',
  codec: LayerShardStatus,
  subject: (subjects) => subjects.layers(),
  facts: ({ holdings }) => ({ piece: holdings?.piece }),
};
