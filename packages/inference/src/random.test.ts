import { expect, test } from 'vitest';
import { philox4x32, RandomStream } from './random.js';

const hex = (block: Uint32Array): string => [...block].map((word) => word.toString(16).padStart(8, '0')).join(' ');

test('the known answers of Random123 (kat_vectors, philox4x32 10)', () => {
  expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  const ones = 0xffffffff;
  expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
  expect(hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
    'd16cfe09 94fdcceb 5001e420 24126ea1',
  );
});

test('a number depends on seed, purpose, index and position, and on nothing asked before', () => {
  const stream = new RandomStream(7n, 'text');
  const ahead = stream.uniform(1000);
  for (let position = 0; position < 50; position++) stream.uniform(position);
  expect(stream.uniform(1000)).toBe(ahead);
  const others = [
    new RandomStream(8n, 'text').uniform(1000),
    new RandomStream(7n + (1n << 32n), 'text').uniform(1000),
    new RandomStream(7n, 'noise').uniform(1000),
    new RandomStream(7n, 'text', 1).uniform(1000),
    stream.uniform(1001),
    stream.uniform(1000 + 2 ** 32),
  ];
  expect(new Set([ahead, ...others]).size).toBe(others.length + 1);
});

// Reference: Philox4x32-10 and Box-Muller by the book, in Python's integers and doubles.
test('the numbers of a seed are those of the reference', () => {
  const uniform = [0, 1, 1000, 2 ** 32 + 5].map((position) => new RandomStream(7n, 'text').uniform(position));
  expect(uniform).toEqual([0.9545971261687, 0.4069604044303493, 0.08992361249471137, 0.17015092719813074]);
  const normals: [RandomStream, number[]][] = [
    [
      new RandomStream(3n, 'noise', 2),
      [
        -1.4265702923317072, 0.3223039393045666, -0.6133545561594879, 0.6912840560545296, -0.027576227280630902,
        0.553828619843285, 0.31780423559768134,
      ],
    ],
    [
      new RandomStream(0x123456789abcdef0n, 'noise'),
      [-1.409904090542652, -0.8678444851243313, 0.4809786006907784, -1.3806658997358527],
    ],
    // Far out, where half a unit of the random bits is seen.
    [
      new RandomStream(2383001n, 'noise'),
      [2.0763134335571856, -5.068325048092969, -2.081338739458982, 0.17159104636571146],
    ],
    [
      new RandomStream(1503815n, 'noise'),
      [-0.471849586421652, -0.24789245916838518, 3.01589422894081, -4.691592692492863],
    ],
  ];
  for (const [stream, reference] of normals) {
    for (const [at, value] of stream.normals(reference.length).entries()) {
      // Logarithm and cosine may differ in their last bit from one machine to another.
      expect(Math.abs(value - (reference[at] as number))).toBeLessThan(1e-6);
    }
  }
});

test('uniform numbers fill [0, 1) evenly', () => {
  const stream = new RandomStream(1n, 'text');
  const bins = new Array<number>(10).fill(0);
  let sum = 0;
  for (let position = 0; position < 100_000; position++) {
    const value = stream.uniform(position);
    sum += value;
    bins[Math.floor(value * 10)] = (bins[Math.floor(value * 10)] as number) + 1;
  }
  expect(Math.abs(sum / 100_000 - 0.5)).toBeLessThan(0.005);
  for (const bin of bins) expect(Math.abs(bin - 10_000)).toBeLessThan(500);
});

test('normal numbers have mean 0, variance 1 and normal tails, and a shorter draw is a prefix', () => {
  const numbers = new RandomStream(3n, 'noise', 2).normals(100_001);
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const variance = numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length;
  const beyondTwo = numbers.reduce((count, value) => count + (Math.abs(value) > 2 ? 1 : 0), 0) / numbers.length;
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  expect(Math.abs(beyondTwo - 0.0455)).toBeLessThan(0.005);
  expect([...new RandomStream(3n, 'noise', 2).normals(7)]).toEqual([...numbers.subarray(0, 7)]);
});
