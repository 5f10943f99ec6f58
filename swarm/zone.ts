/** A zone's name: nodes of one zone are near to each other, as in one rack, room or site. */

/** Short, as it travels in every extension handshake and stands in tables. */
export const zoneCharactersMax = 64;

/** It is shown and compared, never used as a path. */
const zonePattern = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/;

/** What `isZone` asks for, to be said to people. */
export const zoneRule = `a zone is letters, digits, dots, colons, underscores and hyphens, ${zoneCharactersMax} at most`;

export function isZone(name: string): boolean {
  return name.length <= zoneCharactersMax && zonePattern.test(name);
}
