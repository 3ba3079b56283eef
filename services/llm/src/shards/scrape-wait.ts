/** So long a scrape waits for an engine's report; one in the midst of a long step answers later, and its figures are then of the second before. */
export const maxScrapeWaitMs = 200;
