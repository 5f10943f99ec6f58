/** Types for what we use of create-torrent, which comes without. */
declare module "create-torrent" {
  interface CreateTorrentOptions {
    name: string;
    pieceLength: number;
    /** [] for no tracker; left out, public ones would be named. */
    announceList: string[][];
  }
  /** `input` is a file's path; the answer is a .torrent file's bytes. */
  export default function createTorrent(
    input: string,
    options: CreateTorrentOptions,
    callback: (error: Error | null, torrent: Uint8Array) => void,
  ): void;
}
