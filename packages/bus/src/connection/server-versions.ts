import { TesseraError } from '@tessera/protocol';

type Version = readonly [major: number, minor: number, patch: number];

/** What is known of servers before a version. */
export interface ServerNotice {
  readonly before: Version;
  /** Whether such a server cannot be used at all. */
  readonly refused: boolean;
  /** Goes on after "NATS at … is of version …: ". */
  readonly says: string;
}

/** The newest first, so that the last that holds is the gravest. */
export const serverNotices: readonly ServerNotice[] = [
  {
    before: [2, 9, 12],
    refused: false,
    says: "it never lets go of a deleted consumer's subscription, 3 KB of its memory each; here that is one for each start of an engine or a gateway, but better take 2.9.12 or later",
  },
  { before: [2, 9, 0], refused: true, says: 'it lacks the consumers that stages pull from; 2.9 or later is needed' },
];

/** The notices that a server's version deserves. One that is no version deserves all of them. */
export function noticesOf(version: string): readonly ServerNotice[] {
  // A release candidate counts as the release: `2.10.0-RC.1` is newer than anything of 2.9.
  const [major = 0, minor = 0, patch = 0] = (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  return serverNotices.filter(({ before }) => compare([major, minor, patch], before) < 0);
}

/**
 * Looks at the version of the server that a bus is connected to.
 * @returns what an operator should hear
 * @throws TesseraError CONFIG_INVALID when it cannot be used
 */
export function checkServerVersion(version: string, url: string): readonly string[] {
  const notices = noticesOf(version);
  const sentence = ({ says }: ServerNotice) => `NATS at ${url} is of version ${version}: ${says}`;
  const refusal = notices.find(({ refused }) => refused);
  if (refusal !== undefined) throw new TesseraError('CONFIG_INVALID', sentence(refusal));
  return notices.map(sentence);
}

function compare(one: Version, other: Version): number {
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
}
