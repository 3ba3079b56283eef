import { expect, test } from 'vitest';
import { layerRoom } from './layer-room.js';

const cut = {
  head: 'head.onnx',
  pieces: [
    { graph: 'a', firstLayer: 0, layers: 2 },
    { graph: 'b', firstLayer: 2, layers: 1 },
    { graph: 'c', firstLayer: 3, layers: 4 },
  ],
};
const shard = (piece: number, positions: number, free = positions, draining = false) => ({
  address: `10.0.0.${piece}:1`,
  holdings: { piece, positions: BigInt(positions), freePositions: BigInt(free), draining },
});

const of = (own: number, enginesPerShard = 1) => ({ own, enginesPerShard });

test('what no shard holds is waited for, by its layers', () => {
  expect(layerRoom(cut, [], of(100))).toEqual({
    count: 2,
    inWords: 'a layer shard of piece 1 (layer 2) and a layer shard of piece 2 (layers 3 to 6)',
  });
  expect(layerRoom(cut, [shard(2, 50), shard(1, 50, 50, true)], of(100))).toEqual({
    count: 1,
    inWords: 'a layer shard of piece 1 (layer 2)',
  });
});

test('an engine takes what it may have, or what the smallest piece has in all', () => {
  expect(layerRoom(cut, [shard(1, 500), shard(2, 300)], of(100))).toEqual({ positions: 100 });
  expect(layerRoom(cut, [shard(1, 500), shard(2, 300)], of(1000))).toEqual({ positions: 300 });
  // Of a piece that several hold, the smallest counts: it can take over.
  expect(layerRoom(cut, [shard(1, 500), shard(2, 100), shard(2, 300)], of(1000))).toEqual({ positions: 100 });
});

test('what another engine has is waited for, with what to set', () => {
  const room = layerRoom(cut, [shard(1, 500), shard(2, 300, 40)], of(1000));
  const inWords =
    /^a layer shard of piece 2 \(layers 3 to 6\) with 300 positions of .*: 10\.0\.0\.2:1 has 40 of 300; set the shard/;
  expect(room).toEqual({ count: 1, inWords: expect.stringMatching(inWords) });
  expect(layerRoom(cut, [shard(1, 500), shard(2, 300, 40)], of(40))).toEqual({ positions: 40 });
  expect(layerRoom(cut, [shard(1, 500), shard(2, 300, 40), shard(2, 300)], of(1000))).toEqual({ positions: 300 });
});

test('an engine leaves as much for each of those that share a shard', () => {
  let free = 301;
  for (const expected of [150, 150]) {
    expect(layerRoom(cut, [shard(1, 500, 200 + free), shard(2, 301, free)], of(1000, 2))).toEqual({
      positions: expected,
    });
    free -= expected;
  }
  expect(layerRoom(cut, [shard(1, 500), shard(2, 301, free)], of(1000, 2))).toMatchObject({ count: 1 });
});
