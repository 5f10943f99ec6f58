/** The extension handshake (BEP 10): what we say of ourselves, and what we take from a peer's. */
import bencode from "bencode";
import { decodeBencodeHead, isDictionary } from "./bencode.ts";
import { infoBytesMax, peerRequestsMax } from "./limits.ts";
import type { PeerExtensions } from "./peer.ts";

/** The id under which peers send us ut_metadata messages. */
export const ourMetadataId = 1;
export const extensionHandshakeId = 0;

const clientName = "bootswarm";

/** Our handshake. `peerPort` is where we listen; `metadataBytes` 0 while the info dictionary is not known. */
export function encodeExtensionHandshake(peerPort: number, metadataBytes: number): Uint8Array {
  return bencode.encode({
    m: { ut_metadata: ourMetadataId },
    ...(metadataBytes > 0 ? { metadata_size: metadataBytes } : {}),
    p: peerPort,
    reqq: peerRequestsMax,
    v: clientName,
  });
}

/** @throws Error if it is no bencoded dictionary. Fields of the wrong type are as if they were not there. */
export function extensionsFrom(payload: Uint8Array): PeerExtensions & { peerPort: number } {
  const fields = decodeBencodeHead(payload);
  if (!isDictionary(fields)) throw new Error("an extension handshake is no dictionary");
  const ids = isDictionary(fields.m) ? fields.m : undefined;
  return {
    metadataId: numberUpTo(255, ids?.ut_metadata),
    metadataBytes: numberUpTo(infoBytesMax, fields.metadata_size),
    peerPort: numberUpTo(65_535, fields.p),
  };
}

function numberUpTo(max: number, value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= max ? value : 0;
}
