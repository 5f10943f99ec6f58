/** Every bound of imports, with its reason. */

/** A .torrent file. Bytes sent with the request are bounded by the API's messages anyway; this is as much. */
export const torrentFileBytesMax = 8 * 1024 * 1024;

/** Files named by a torrent. Image collections have hundreds; each is a small object in the child's memory. */
export const torrentFilesMax = 20_000;

/** A web seed's URL, which is shown to whoever may import it instead. */
export const webSeedCharactersMax = 500;

/** Bencoded values in a .torrent file: some five for a file, twice as many in a hybrid torrent, and some to spare. */
export const torrentValuesMax = 20 * torrentFilesMax;

/** Piece length of a torrent: two windows of pieces are held in memory. */
export const torrentPieceBytesMax = 64 * 1024 * 1024;

/** A URL or magnet link, with room for some dozens of trackers. */
export const sourceLengthMax = 16 * 1024;

/** The path of a wanted file: as long as Linux allows. */
export const filePathLengthMax = 4_096;

/** Imports that wait or run; beyond it new ones are refused. */
export const importsPendingMax = 100;

/** Ended imports that are still shown; beyond it the oldest is forgotten. */
export const importsEndedMax = 100;

/** Starts over after a restart of the seeder; beyond it the import itself may be what brings the seeder down. */
export const restartsMax = 5;

/** A message from a peer: the longest is a bitfield, and 8 MiB of torrent file hold 400,000 pieces' hashes at most. */
export const peerMessageBytesMax = 256 * 1024;

/** Peers connected at once in one import. */
export const peersMax = 40;

/** Peers named by a magnet link that are tried. */
export const namedPeersMax = 200;

/** Redirects followed for one HTTP request. */
export const redirectsMax = 10;

/** Reconnections in a row that bring no byte, after which an HTTP import fails. */
export const httpRetriesMax = 6;

/** Tries to connect to an address where nobody listens: one more than one, in case a server is just being restarted. */
export const absencesMax = 2;

/** What an error may say to a user: one line of a terminal or two. */
export const errorLengthMax = 1_000;
