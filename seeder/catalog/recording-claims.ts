/** Which node records the boot of which image, as all seeders that share a catalog know it. */
import { Problem } from "../../daemon/problem.ts";
import type { ReplicaStore } from "../store/replica-store.ts";

/** Longest claim: a boot that takes longer extends it. */
const durationMsMax = 3_600_000;
const idCharactersMax = 128;

export class RecordingClaims {
  readonly #store: Pick<ReplicaStore, "claimRecording" | "releaseRecording">;
  readonly #nowMs: () => number;

  constructor(store: Pick<ReplicaStore, "claimRecording" | "releaseRecording">, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  /**
   * Gives the recording of an image's boot to a node, or extends its claim.
   *
   * @throws Problem "conflict" if another node has it, or "invalid".
   */
  async claim(digest: string, nodeId: string, nodeName: string, durationMs: number): Promise<void> {
    if (nodeId === "" || nodeId.length > idCharactersMax || nodeName.length > 2 * idCharactersMax) {
      throw new Problem("invalid", "a recording is claimed by a node, with its id and name");
    }
    if (durationMs < 1 || durationMs > durationMsMax) {
      throw new Problem("invalid", `a recording is claimed for 1 to ${durationMsMax} ms, not ${durationMs}`);
    }
    const nowMs = this.#nowMs();
    const held = await this.#store.claimRecording({ digest, nodeId, nodeName, endsAtMs: nowMs + durationMs }, nowMs);
    if (held.nodeId === nodeId) return;
    const leftSeconds = Math.ceil((held.endsAtMs - nowMs) / 1_000);
    throw new Problem(
      "conflict",
      `node ${held.nodeName || held.nodeId} is recording a boot of ${digest}; wait for it, ${leftSeconds} s at most`,
    );
  }

  /** Gives a claim back, if the node has it. */
  release(digest: string, nodeId: string): Promise<void> {
    return this.#store.releaseRecording(digest, nodeId);
  }
}
