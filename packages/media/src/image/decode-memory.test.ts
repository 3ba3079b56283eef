import { expect, test } from 'vitest';
import { noisyPixels, rasterFormNames, rasterForms } from '../testing/pictures.js';
import { decodeImage } from './decode-image.js';
import { native } from './native.js';

test('hundreds of decodes, good and bad, leave no memory behind', async () => {
  const width = 1200;
  const large = native(noisyPixels(width, width), { raw: { width, height: width, channels: 3 } });
  const good: Uint8Array[] = [
    await large.clone().jpeg().toBuffer(),
    await large.clone().png({ compressionLevel: 1 }).toBuffer(),
  ];
  for (const form of rasterFormNames) good.push(await rasterForms[form]());
  const pictures: Uint8Array[] = good.flatMap((bytes) => [bytes, bytes.subarray(0, bytes.length >> 1)]);
  pictures.push(Buffer.from('no picture'), Buffer.alloc(0), Buffer.alloc(5000, 0xff));

  const round = async () => {
    let failures = 0;
    for (const bytes of pictures) {
      await decodeImage(bytes).catch(() => {
        failures++;
      });
    }
    return failures;
  };
  const refused = await round();
  expect(refused).toBe(good.length + 3);
  await round();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 8; i++) expect(await round()).toBe(refused);
  // One large picture is 4 MB decoded; a leak of each would be 130 MB and more.
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
  expect(native.counters()).toEqual({ queue: 0, process: 0 });
  // What libvips keeps for another time.
  expect(native.cache()).toMatchObject({ items: { current: 0 }, files: { current: 0 } });
});
