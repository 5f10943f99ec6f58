/** Bounds of what the store remembers, each with its reason. */

/**
 * How long it is remembered that an image was retired. It is for seeders that were away meanwhile: one that comes back later
 * keeps the image's bytes, unserved, and says so in its log. Half a year is longer than anybody repairs a machine.
 */
export const retiredKeptMs = 183 * 86_400_000;
/** Retired images that are remembered: half a year of a site that retires 500 a day, in some ten megabytes. */
export const retiredMax = 100_000;
