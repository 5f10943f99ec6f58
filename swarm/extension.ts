/** The extension handshake (BEP 10): what we say of ourselves, and what we take from a peer's. */
import bencode from "bencode";
import { decodeBencodeHead, isDictionary } from "./bencode.ts";
import { infoBytesMax, peerRequestsMax } from "./limits.ts";
import type { PeerExtensions } from "./peer.ts";
import { isZone, zoneCharactersMax } from "./zone.ts";

export const extensionHandshakeId = 0;
/** The ids under which peers send us ut_metadata and ut_pex messages. */
export const ourMetadataId = 1;
export const ourPexId = 2;

const clientName = "bootswarm";

export interface OwnExtensions {
  /** Where we listen. */
  peerPort: number;
  /** 0 while the info dictionary is not known. */
  metadataBytes: number;
  zone?: string | undefined;
}

/** Our handshake. Keys that begin with "bw_" are our own; other clients pass over them. */
export function encodeExtensionHandshake({ peerPort, metadataBytes, zone }: OwnExtensions): Uint8Array {
  return bencode.encode({
    bw_pex: 1,
    ...(zone === undefined ? {} : { bw_zone: zone }),
    m: { ut_metadata: ourMetadataId, ut_pex: ourPexId },
    ...(metadataBytes > 0 ? { metadata_size: metadataBytes } : {}),
    p: peerPort,
    reqq: peerRequestsMax,
    v: clientName,
  });
}

export interface PeersExtensions extends PeerExtensions {
  /** Where it listens; 0 if it does not say. */
  peerPort: number;
  zone: string | undefined;
}

/** @throws Error if it is no bencoded dictionary. Fields of the wrong type are as if they were not there. */
export function extensionsFrom(payload: Uint8Array): PeersExtensions {
  const fields = decodeBencodeHead(payload);
  if (!isDictionary(fields)) throw new Error("an extension handshake is no dictionary");
  const ids = isDictionary(fields.m) ? fields.m : undefined;
  return {
    metadataId: numberUpTo(255, ids?.ut_metadata),
    metadataBytes: numberUpTo(infoBytesMax, fields.metadata_size),
    pexId: numberUpTo(255, ids?.ut_pex),
    takesQuickPex: fields.bw_pex === 1,
    peerPort: numberUpTo(65_535, fields.p),
    zone: zoneFrom(fields.bw_zone),
  };
}

function zoneFrom(value: unknown): string | undefined {
  if (!(value instanceof Uint8Array) || value.length > zoneCharactersMax) return undefined;
  const name = Buffer.from(value).toString("latin1");
  return isZone(name) ? name : undefined;
}

function numberUpTo(max: number, value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= max ? value : 0;
}
