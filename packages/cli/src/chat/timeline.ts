import type { TimelineSpan } from '@tessera/client';

const barWidth = 40;

/** The time line of one request as text: a row for each thing a stage did, on one scale; #1 is the second choice. */
export function formatTimeline(spans: readonly TimelineSpan[]): string {
  const shown = spans.filter((span) => span.stage !== 'gateway' && (span.name !== 'queue' || span.durationMs >= 0.5));
  const rows = [...shown].sort((a, b) => a.startMs - b.startMs);
  const endMs = Math.max(1, ...spans.map((span) => span.startMs + span.durationMs));
  return rows
    .map((span) => {
      const from = Math.min(barWidth - 1, Math.floor((span.startMs / endMs) * barWidth));
      const length = Math.max(1, Math.min(barWidth - from, Math.round((span.durationMs / endMs) * barWidth)));
      const bar = (' '.repeat(from) + '█'.repeat(length)).padEnd(barWidth);
      const of = span.media ?? span.item;
      const place = of === undefined ? '' : ` ${of}${span.segment === undefined ? '' : `.${span.segment}`}`;
      const choice = span.choice ? ` #${span.choice}` : '';
      return `  ${span.stage.padEnd(10)}${`${span.name}${place}${choice}`.padEnd(12)}|${bar}| ${span.durationMs.toFixed(1).padStart(8)} ms`;
    })
    .join('\n');
}
