/**
 * What is let through to the DHT library (BEP 5): a message is taken apart, its fields are checked, and only those known
 * are put together again. The library itself trusts every field's type, and decodes without bounds.
 */
import bencode, { type Bencodable } from "bencode";
import { type BencodeDictionary, type BencodeValue, decodeBencode, isDictionary } from "./bencode.ts";

/** A datagram: the longest that BEP 5 has is an answer of some dozen nodes or a hundred peers, within 1,500 bytes. */
const datagramBytesMax = 2_048;

/** Transaction ids of others, which are sent back; ours have two bytes. */
const foreignTransactionBytesMax = 16;
const ownTransactionBytes = 2;

/** Tokens are some bytes of a hash. */
const tokenBytesMax = 64;

const idBytes = 20;
/** Id, IPv4 address and port. */
const nodeBytes = 26;
/** IPv4 address and port. */
const peerBytes = 6;

/** Nodes and peers in one answer, given and taken. */
export const nodesPerAnswerMax = 20;
export const peersPerAnswerMax = 100;

/** An error's text, which is only logged. */
const errorTextBytesMax = 200;

/**
 * The message of `datagram` with nothing in it that has not been checked, in bencode.
 *
 * @throws Error saying what is wrong with it.
 */
export function checkedDhtMessage(datagram: Uint8Array): Buffer {
  if (datagram.length > datagramBytesMax) throw new Error(`${datagram.length} bytes are too long for a DHT message`);
  const message = decodeBencode(datagram);
  if (!isDictionary(message)) throw new Error("a DHT message is no dictionary");
  return Buffer.from(bencode.encode(checkedFields(message)));
}

function checkedFields(message: BencodeDictionary): { [key: string]: Bencodable } {
  const type = textOf(message, "y", 1);
  switch (type) {
    case "q": {
      const q = textOf(message, "q", 20);
      return { t: bytesOf(message, "t", 1, foreignTransactionBytesMax), y: type, q, a: queryArguments(q, message.a) };
    }
    case "r":
      return { t: bytesOf(message, "t", ownTransactionBytes), y: type, r: answerFields(message.r) };
    case "e":
      return { t: bytesOf(message, "t", ownTransactionBytes), y: type, e: errorFields(message.e) };
    default:
      throw new Error(`"${type}" is no type of DHT message`);
  }
}

function queryArguments(query: string, given: BencodeValue | undefined): { [key: string]: Bencodable } {
  if (!isDictionary(given)) throw new Error("a DHT query has no arguments");
  const id = bytesOf(given, "id", idBytes);
  switch (query) {
    case "ping":
      return { id };
    case "find_node":
      return { id, target: bytesOf(given, "target", idBytes) };
    case "get_peers":
      return { id, info_hash: bytesOf(given, "info_hash", idBytes) };
    case "announce_peer":
      return {
        id,
        info_hash: bytesOf(given, "info_hash", idBytes),
        token: bytesOf(given, "token", 1, tokenBytesMax),
        ...announcedPort(given),
      };
    default:
      // Arbitrary data (BEP 44: get, put) is nothing that we keep for others.
      throw new Error(`"${query}" is no query that is answered`);
  }
}

function announcedPort(given: BencodeDictionary): { [key: string]: Bencodable } {
  if (given.implied_port !== undefined && given.implied_port !== 0) return { implied_port: 1 };
  const { port } = given;
  if (typeof port !== "number" || port < 1 || port > 65_535) throw new Error("an announced port is none");
  return { port };
}

function answerFields(given: BencodeValue | undefined): { [key: string]: Bencodable } {
  if (!isDictionary(given)) throw new Error("a DHT answer has no fields");
  const fields: { [key: string]: Bencodable } = { id: bytesOf(given, "id", idBytes) };
  if (given.token !== undefined) fields.token = bytesOf(given, "token", 1, tokenBytesMax);
  if (given.nodes !== undefined) {
    const nodes = bytesOf(given, "nodes", 0, datagramBytesMax);
    if (nodes.length % nodeBytes !== 0) throw new Error("the nodes of a DHT answer are cut off");
    fields.nodes = nodes.subarray(0, nodesPerAnswerMax * nodeBytes);
  }
  if (given.values !== undefined) {
    if (!Array.isArray(given.values)) throw new Error("the peers of a DHT answer are no list");
    // Those of another length are IPv6 addresses (BEP 32), of no use here.
    const peers = given.values.filter((peer) => peer instanceof Uint8Array && peer.length === peerBytes);
    fields.values = (peers as Uint8Array[]).slice(0, peersPerAnswerMax);
  }
  return fields;
}

function errorFields(given: BencodeValue | undefined): Bencodable[] {
  const [code, text] = Array.isArray(given) ? given : [];
  return [
    typeof code === "number" && Number.isSafeInteger(code) ? code : 0,
    text instanceof Uint8Array ? text.subarray(0, errorTextBytesMax) : "",
  ];
}

function bytesOf(fields: BencodeDictionary, key: string, min: number, max = min): Uint8Array {
  const value = fields[key];
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    throw new Error(`"${key}" of a DHT message is no byte string of ${min === max ? min : `${min} to ${max}`}`);
  }
  return value;
}

function textOf(fields: BencodeDictionary, key: string, max: number): string {
  return Buffer.from(bytesOf(fields, key, 1, max)).toString("latin1");
}
