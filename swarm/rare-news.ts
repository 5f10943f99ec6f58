/**
 * Whom to tell at once of a piece that has just come: haves wait for something else that goes the same way, or a quarter of
 * a second, and over the hops that a piece takes through a large crowd these waits add up. So a piece that next to none of
 * the neighbours has is told to a few of them at once, who soon tell a few others.
 */

/** A piece that more neighbours have is on its way already. */
const rareHoldersMax = 3;
/** Neighbours told at once. With 100 nodes and 16 MiB ten were no better than six. */
const listenersMax = 6;

/** Whether a piece that so many neighbours have is news worth a message of its own. */
export function isRareNews(holders: number): boolean {
  return holders <= rareHoldersMax;
}

/**
 * Up to six of those that lack the piece, at random.
 *
 * @param random uniform in [0, 1)
 */
export function listenersAmong<Peer>(lacking: readonly Peer[], random: () => number): Peer[] {
  const rest = [...lacking];
  const chosen: Peer[] = [];
  while (chosen.length < listenersMax && rest.length > 0) {
    const at = Math.floor(random() * rest.length);
    chosen.push(rest[at] as Peer);
    rest[at] = rest[rest.length - 1] as Peer;
    rest.pop();
  }
  return chosen;
}
