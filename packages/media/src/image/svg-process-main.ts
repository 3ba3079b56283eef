import { native } from './native.js';
import type { SvgDrawing, SvgReply } from './svg-drawing.js';

/** How often a drawing's use is looked at. The drawing itself runs on another thread. */
const watchMs = 20;

// A filter effect costs time by its radius and octaves, which no size limit bounds: what it decorates is drawn without.
const svg = { stylesheet: '* { filter: none !important }' };

const say = (reply: SvgReply) => process.send?.(reply);

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

/** Computing, not time: what a drawing takes is then the same on a machine that others keep busy. */
function watch({ maxCpuMs, maxMemoryBytes }: SvgDrawing): NodeJS.Timeout {
  const before = process.cpuUsage();
  return setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 > maxCpuMs) say({ over: 'cpu' });
    else if (process.memoryUsage.rss() > maxMemoryBytes) say({ over: 'memory' });
  }, watchMs);
}

process.on('message', (drawing: SvgDrawing) => {
  say({ begun: true });
  const watching = watch(drawing);
  draw(drawing)
    .catch((reason: unknown): SvgReply => ({ failure: reason instanceof Error ? reason.message : String(reason) }))
    .then((reply) => {
      clearInterval(watching);
      say(reply);
    });
});

// A plain exit would wait for the drawing in progress.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
