import type { ConnectorSection } from '@tessera/bundle';
import type { GraphPorts } from '@tessera/inference';

/** The connector's graph: one tile's features [patches, width] in, its visual tokens [tokens, llmWidth] out. */
export function connectorPorts({ patches, width, tokens, llmWidth }: Omit<ConnectorSection, 'graph'>): GraphPorts {
  return {
    input: { name: 'features', shape: [patches, width] },
    output: { name: 'visual_tokens', shape: [tokens, llmWidth] },
  };
}
