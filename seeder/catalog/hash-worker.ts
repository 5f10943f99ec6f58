/** The thread that hashes: one sha256 and the SHA-1 of every piece for each job. Messages come in order. */
import { createHash, type Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";
import type { HashReply, HashRequest } from "./hasher.ts";

interface Job {
  whole: Hash;
  /** 0 for a job without pieces. */
  pieceLengthBytes: number;
  piece: Hash;
  /** Bytes in `piece`. */
  pieceBytes: number;
  pieceHashes: Buffer[];
}

const jobs = new Map<number, Job>();
const port = parentPort;
if (!port) throw new Error("hash-worker.ts runs as a worker thread only");

port.on("message", (request: HashRequest) => {
  const reply = answer(request);
  if (reply) port.postMessage(reply);
});

function answer(request: HashRequest): HashReply | undefined {
  if (request.kind === "start") {
    jobs.set(request.job, newJob(request.pieceLengthBytes));
    return undefined;
  }
  const job = jobs.get(request.job);
  if (!job) return undefined;
  switch (request.kind) {
    case "update":
      update(job, new Uint8Array(request.shared, 0, request.lengthBytes));
      return { kind: "updated", job: request.job };
    case "finish":
      jobs.delete(request.job);
      if (job.pieceBytes > 0) endPiece(job);
      return {
        kind: "finished",
        job: request.job,
        sha256: job.whole.digest("hex"),
        pieceHashes: new Uint8Array(Buffer.concat(job.pieceHashes)),
      };
    case "abandon":
      jobs.delete(request.job);
      return undefined;
  }
}

function newJob(pieceLengthBytes: number): Job {
  return {
    whole: createHash("sha256"),
    pieceLengthBytes,
    piece: createHash("sha1"),
    pieceBytes: 0,
    pieceHashes: [],
  };
}

function update(job: Job, bytes: Uint8Array): void {
  job.whole.update(bytes);
  if (job.pieceLengthBytes === 0) return;
  for (let offset = 0; offset < bytes.length; ) {
    const taken = Math.min(bytes.length - offset, job.pieceLengthBytes - job.pieceBytes);
    job.piece.update(bytes.subarray(offset, offset + taken));
    job.pieceBytes += taken;
    offset += taken;
    if (job.pieceBytes === job.pieceLengthBytes) endPiece(job);
  }
}

function endPiece(job: Job): void {
  job.pieceHashes.push(job.piece.digest());
  job.piece = createHash("sha1");
  job.pieceBytes = 0;
}
