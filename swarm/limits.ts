/** Every bound of the engine, with its reason. What comes from outside is compared with one of these first. */

/** A block: what one request asks for. 16 KiB is what every client sends and what most refuse to exceed (BEP 3). */
export const blockBytes = 16 * 1024;

/** Largest block served to a peer: some clients ask for 32 KiB or more, none for more than this. */
export const blockBytesMax = 128 * 1024;

/** Smallest and largest piece length of a torrent; below, hashes outweigh data, above, one bad block costs too much. */
export const pieceLengthBytesMin = 16 * 1024;
export const pieceLengthBytesMax = 64 * 1024 * 1024;

/** Pieces of a torrent: 2 TiB in 1 MiB pieces. Bounds bitfields (256 KiB) and per-torrent tables. */
export const piecesMax = 2 * 1024 * 1024;

/** An info dictionary: 20 bytes a piece and a little more. Foreign torrents of sane size are well below. */
export const infoBytesMax = 20 * piecesMax + 64 * 1024;

/** A file name in an info dictionary. It is shown, never used as a path. */
export const nameBytesMax = 255;

/** A message that is neither a block nor a bitfield: the longest is a ut_metadata piece (16 KiB and its header). */
export const controlMessageBytesMax = 64 * 1024;

/** Handshakes and first messages must come within this time, or the place goes to somebody else. */
export const handshakeTimeoutMs = 10_000;

/** A TCP connection that is not made by then never will be. */
export const connectTimeoutMs = 5_000;

/** A peer must say something, a keep-alive if nothing else, within this time (BEP 3: two minutes). */
export const idleTimeoutMs = 150_000;
export const keepAliveIntervalMs = 60_000;

/** Connections of one node over all torrents, unless configured. */
export const connectionsMaxDefault = 400;

/** Connections of one torrent: enough for a well-mixed graph, few enough for a node to serve all of them. */
export const connectionsPerTorrentMax = 60;

/**
 * Neighbours that a torrent looks for itself. A graph of 30 random edges a node is connected and a few hops across at any
 * size; as many places again are left to those who dial us, so that newcomers find nodes that are not full.
 */
export const neighboursWanted = 30;

/** Connections accepted but not yet past their handshake. */
export const handshakesMax = 128;

/** Outgoing connection attempts under way at once per torrent: a flash crowd is reached in a few rounds. */
export const connectsPerTorrentMax = 16;

/** Addresses remembered per torrent; beyond it a new one comes in only for one that failed. */
export const knownPeersMax = 2_000;

/** Addresses of one host among them, loopback aside: a host may run some clients, but not fill the book. */
export const knownPeersPerHostMax = 16;

/** Own addresses remembered, so as not to be dialled; more interfaces than that have no business in a swarm. */
export const ownEndpointsMax = 64;

/** Blocks that one peer may have asked for and not yet got; beyond it the peer is not playing by the rules. */
export const peerRequestsMax = 2_048;

/**
 * Requests for less than a block, other than for a piece's last bytes, that a peer may make at once, and per second in the
 * long run. Clients ask for whole blocks (BEP 3); answers of single bytes cost as much as those and more than the questions.
 */
export const fragmentRequestsMax = 256;
export const fragmentRequestsPerSecondMax = 16;

/**
 * Memory of blocks that a socket has been given and the kernel has not taken yet, beyond which no more are read for that
 * peer: two full batches, one to send and one to follow, and the kernel has as much again.
 */
export const sendMemoryBytesMax = 576 * 1024;

/**
 * The same of all peers of a node together: each has its share, but one batch at the least. A thousand peers that do not
 * read hold a quarter of a GiB.
 */
export const sendMemoryBytesTotal = 64 * 1024 * 1024;

/**
 * Everything else that waits to be sent to a peer, beyond which it does not read and is dropped: the most that a client
 * asks for at once is an info dictionary, and ours have a third of a MiB at the most.
 */
export const unsentBytesMax = 1024 * 1024;

/** Beyond this, requests for parts of the info dictionary are refused: the peer asks again. */
export const metadataUnsentBytesMax = unsentBytesMax / 2;

/**
 * Times that a peer may take back that it has pieces. BEP 3 has one bitfield a connection, but aria2 sends further ones in
 * place of many haves: those only add, so all of them together cost no more than the haves would.
 */
export const retractionsMax = 8;

/**
 * Messages that a peer may send at once, and per second in the long run, of those that answer no data: interest changes
 * with every piece that we get, haves are one a piece, and cancels as many as blocks in an endgame. Blocks and requests
 * are not among them: they have bounds of their own.
 */
export const signalsMax = 20_000;
export const signalsPerSecondMax = 5_000;

/** Requests kept in flight to one peer: at least enough for a short path, at most what a fast one needs. */
export const requestsInFlightMin = 4;
export const requestsInFlightMax = 256;

/** A block not here by then is asked of somebody else; the floor and ceiling of a limit that follows the peer's rate. */
export const requestTimeoutMsMin = 4_000;
export const requestTimeoutMsMax = 30_000;

/** A single request older than this is asked of somebody else, however well its peer answers others. */
export const requestAgeMsMax = 60_000;

/**
 * A piece is late after so many times the usual time of its torrent's pieces: the least and the most that may come to, and
 * what it is before any time is known.
 */
export const pieceDeadlineFactor = 3;
export const pieceDeadlineMsFirst = 4_000;
export const pieceDeadlineMsMin = 500;
export const pieceDeadlineMsMax = 15_000;

/** Blocks of a late piece asked of one more peer at once, and peers that one block may be asked of for being late. */
export const hedgeBlocksMax = 4;
export const hedgeRequestersMax = 4;

/** Blocks asked of one more peer for being late, over a torrent's life: each may come twice. So many, and this share of all. */
export const hedgedBlocksMin = 64;
export const hedgedShareMax = 0.02;

/** A block that a read waits for is late after twice the time expected, but not before and not after these. */
export const demandLateMsMin = 100;
export const demandLateMsMax = 10_000;

/** Peers that such a block is asked of at once. */
export const demandRequestersMax = 3;

/**
 * Pieces that reads wait for, and of what they may read next, that are looked at; and the bytes of those assembled beyond
 * what memory is set aside for pieces. Of more, the rest waits for its turn.
 */
export const demandedPiecesMax = 256;
export const demandBytesMax = 16 * 1024 * 1024;

/** Bytes of pieces being assembled in memory, over all torrents, unless a single piece is larger. */
export const assemblyBytesMax = 64 * 1024 * 1024;

/**
 * Pieces that a peer alone sent and that failed their hash, over all its connections and torrents, before it is struck off:
 * a disk may have one bad sector.
 */
export const badPiecesMax = 3;

/** Senders of pieces that failed their hash whose number is kept, to name them when a fetch fails. */
export const badSendersMax = 16;

/** Pieces of which it is remembered who sent which block, to find out who was at fault once they are here. */
export const suspectPiecesMax = 64;

/** Bytes that nobody asked for, such as blocks cancelled on their way, before a peer is struck off. */
export const unaskedBytesMax = 8 * 1024 * 1024;

/** How long a struck-off address stays so: faults of memory and disks get mended, and addresses change hands. */
export const strikeOffMs = 10 * 60 * 1_000;

/** Addresses struck off at once, and those remembered for a bad piece; beyond it the oldest is let in again. */
export const struckOffMax = 10_000;

/**
 * Peers that get data at the same time, per torrent: as many as there are connections. Fewer only make a flash crowd
 * wait for slots to change hands; what bounds the work is each peer's queue.
 */
export const unchokedMax = connectionsPerTorrentMax;

/** How long a choked peer waits before slots are dealt anew. */
export const rechokeIntervalMs = 5_000;

/** However often peers change their mind, slots are looked at again only after this. */
export const rechokeIntervalMsMin = 20;

/** ut_metadata pieces asked for at once of one peer, and how long the next may take. */
export const metadataRequestsMax = 4;
export const metadataTimeoutMs = 5_000;

/**
 * Requests for parts of the info dictionary that a peer may make at once besides twice those that there are, and per second
 * in the long run: each answer costs far more than what was asked with.
 */
export const metadataAnswersMin = 64;
export const metadataAnswersPerSecondMax = 64;

/** Peers asked for the metadata at once: one that is slow or lies must not hold up the others. */
export const metadataPeersMax = 3;

/** All of it must come within this time plus what it takes at this rate, or it is another peer's turn. */
export const metadataDeadlineMs = 10_000;
export const metadataBytesPerSecondMin = 256 * 1024;

/** How long a peer that refused or let its time pass is left alone: doubled from the first to the last. */
export const metadataRestMsMin = 5_000;
export const metadataRestMsMax = 30_000;

/** Metadata kept of peers that let their time pass, per torrent, so that what comes later can complete it. */
export const metadataKeptBytesMax = 8 * 1024 * 1024;

/** Addresses of one kind and family in a ut_pex message: what BEP 11 allows, and twice that of what comes in. */
export const pexEntriesSentMax = 50;
export const pexEntriesMax = 100;

/**
 * Time between ut_pex messages to one peer (BEP 11: a minute). Among our own nodes the first ones follow each other sooner,
 * doubling from the first wait to the last: in a flash crowd everybody's neighbours change within seconds.
 */
export const pexIntervalMs = 60_000;
export const pexIntervalMsMin = 1_000;

/** ut_pex messages that a peer may send at once, and how often a further one: beyond that it floods and is struck off. */
export const pexMessagesMax = 16;
export const pexMessageEveryMs = 5_000;

/** Addresses of hearsay (ut_pex) remembered per torrent: false ones must not crowd out what the DHT names. */
export const hearsayPeersMax = 1_000;

/** Suggestions of one peer that are remembered; what it suggests beyond is passed over. */
export const suggestedMax = 256;

/** An announcement in the DHT is forgotten if it is not repeated within this time; ours are every ten minutes at least. */
export const announcementMaxAgeMs = 30 * 60 * 1_000;

/** Announcements that a DHT node remembers for others: some 20 MiB. A few thousand nodes with some images each have less. */
export const announcementsMax = 32_768;

/**
 * Those of one host, loopback aside: a seeder with thousands of images announces each. Beyond it the oldest goes, which
 * is also the one that is the least likely to be repeated.
 */
export const announcementsPerHostMax = 4_096;

/** Those of one host for one torrent, as many as are taken from there: an agent, perhaps a seeder, and other clients. */
export const announcementsPerHostAndTorrentMax: number = knownPeersPerHostMax;

/** DHT nodes of one host in the routing table, loopback aside: an agent, perhaps a seeder, and what they were before. */
export const dhtNodesPerHostMax = 8;

/** Nodes that one look-up in the DHT asks: among ten thousand it takes less than a hundred. */
export const dhtQueriesPerLookupMax = 256;
