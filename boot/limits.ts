/** Bounds on what is read of a boot: profiles and boot images come from other machines. */

/** The unit in which boot images tell pages apart: what file systems and guests page by. */
export const pageBytes = 4_096;

/** A profile's block size unless stated: 16 pages; a boot of Debian reads a tenth more by it than it asks for. */
export const profileBlockBytesDefault = 64 * 1024;
export const profileBlockBytesMax = 1024 * 1024;

/** Largest image that is profiled, 256 TiB: where the cache's bound is. */
export const imageBytesMax = 2 ** 48;

/** Most bytes that a profile covers. Windows reads 350 MB to boot; whoever reads more than this is no longer booting. */
export const coveredBytesMax = 1024 * 1024 * 1024;

/** Most extents of a profile: an extent has a block at least, of the smallest kind. */
export const extentsMax = coveredBytesMax / pageBytes;

/** Largest encoded profile: the longest numbers of all extents. A Debian boot's has some 4 KB. */
export const profileBytesMax = 128 + extentsMax * 12;

/** Bytes of a frame before compression: one read and one decompression of about a millisecond. */
export const frameBytes = 1024 * 1024;

/** Boot images that one refers to; each has to be fetched and loaded beside it. */
export const sourcesMax = 4;

/** A source is worth it from so many bytes on: a dependency costs a fetch. */
export const sourceSavedBytesMin = 1024 * 1024;

/** Fingerprints of a sketch: likeness is told to within a tenth. */
export const sketchLengthMax = 128;

/** Largest head: a profile, and for each page a segment of three long numbers. A Debian boot's has some 60 KB. */
export const headBytesMax = profileBytesMax + extentsMax * 16;
