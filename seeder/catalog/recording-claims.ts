/**
 * Which node records the boot of which image. In memory: a claim is a matter of minutes, and after a restart the worst that
 * can happen is that two nodes record the same boot, of which the first to upload wins.
 */
import { Problem } from "../../daemon/problem.ts";

/** Longest claim: a boot that takes longer extends it. */
const durationMsMax = 3_600_000;
/** Claims at once: each is a boot that somebody records now. */
const claimsMax = 10_000;
const idCharactersMax = 128;

interface Claim {
  nodeId: string;
  nodeName: string;
  endsMs: number;
}

export class RecordingClaims {
  readonly #claims = new Map<string, Claim>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Gives the recording of an image's boot to a node, or extends its claim.
   *
   * @throws Problem "conflict" if another node has it, "invalid" or "exhausted".
   */
  claim(digest: string, nodeId: string, nodeName: string, durationMs: number): void {
    if (nodeId === "" || nodeId.length > idCharactersMax || nodeName.length > 2 * idCharactersMax) {
      throw new Problem("invalid", "a recording is claimed by a node, with its id and name");
    }
    if (durationMs < 1 || durationMs > durationMsMax) {
      throw new Problem("invalid", `a recording is claimed for 1 to ${durationMsMax} ms, not ${durationMs}`);
    }
    const nowMs = this.#nowMs();
    for (const [key, { endsMs }] of this.#claims) if (endsMs <= nowMs) this.#claims.delete(key);
    const held = this.#claims.get(digest);
    if (held && held.nodeId !== nodeId) {
      const leftSeconds = Math.ceil((held.endsMs - nowMs) / 1_000);
      throw new Problem(
        "conflict",
        `node ${held.nodeName || held.nodeId} is recording a boot of ${digest}; wait for it, ${leftSeconds} s at most`,
      );
    }
    if (!held && this.#claims.size >= claimsMax) throw new Problem("exhausted", "too many boots are being recorded");
    this.#claims.set(digest, { nodeId, nodeName, endsMs: nowMs + durationMs });
  }

  /** Gives a claim back, if the node has it. */
  release(digest: string, nodeId: string): void {
    if (this.#claims.get(digest)?.nodeId === nodeId) this.#claims.delete(digest);
  }
}
