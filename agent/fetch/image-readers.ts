import type { Torrent } from "../../swarm/torrent.ts";

/** Who reads an image while it is on its way. */
export interface ImageReaders {
  /**
   * A torrent brings the image from now on: it is told what is waited for, and says which pieces can be read.
   *
   * @returns to be called when it does no more, with whether what it has brought can be read on
   */
  join(digest: string, torrent: Torrent): (isSound: boolean) => void;
  /** Since when reads of an image have waited without a break, as the clock tells it; undefined if none does. */
  waitingSinceMs(digest: string): number | undefined;
  /** What is here of the image is not to be believed any more, or is about to go. */
  doubt(digest: string): void;
}
