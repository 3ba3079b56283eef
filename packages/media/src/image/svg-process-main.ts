import { native } from './native.js';
import type { SvgDrawing, SvgReply } from './svg-drawing.js';

// A filter effect costs time by its radius and octaves, which no size limit bounds: what it decorates is drawn without.
const svg = { stylesheet: '* { filter: none !important }' };

async function draw({ bytes, width, height, background }: SvgDrawing): Promise<SvgReply> {
  const [r, g, b] = background;
  const data = await native(bytes, { failOn: 'error', svg })
    .resize(width, height, { fit: 'fill' })
    .flatten({ background: { r, g, b } })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer();
  return { data };
}

process.on('message', (drawing: SvgDrawing) => {
  draw(drawing)
    .catch((reason: unknown): SvgReply => ({ failure: reason instanceof Error ? reason.message : String(reason) }))
    .then((reply) => process.send?.(reply));
});

// A plain exit would wait for the drawing in progress.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
