/** Asks the API again and again for what the page shows beside the board. */

/** Calls `ask` at once and then every `intervalMs`, one call at a time, until the signal aborts. Never rejects. */
export async function poll(
  ask: (signal: AbortSignal) => Promise<void>,
  intervalMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // What fails, `ask` itself shows.
    await ask(signal).catch(() => {});
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, intervalMs);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
