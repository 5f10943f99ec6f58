/**
 * The fixed newstyle handshake of one connection, as a state machine without a socket: bytes come in, replies and what is
 * to happen next go out to its sink.
 *
 * Where TLS is required, nothing of the exports is told before it: every option but STARTTLS and ABORT is refused, and
 * EXPORT_NAME, which has no way to be refused, ends the connection. What was agreed before TLS is forgotten with it, and
 * bytes that a client (or somebody between) has sent ahead of it end the connection.
 *
 * Options that we do not know are refused, so that newer clients find what we have in common. A client that breaks the
 * protocol is cut off: the document allows that, and nothing sensible can follow.
 */
import type { Agreed, ExportDirectory, NbdExport } from "./export.ts";
import { optionBytesMax, optionsMax, requestBytesMax, stringBytesMax } from "./limits.ts";
import {
  decodeInfoRequest,
  decodeMetaRequest,
  encodeExportNameReply,
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoText,
  encodeListed,
  encodeMetaContext,
  encodeOptionError,
  encodeOptionReply,
  optionHeadBytes,
} from "./option-codec.ts";
import {
  baseAllocation,
  baseAllocationId,
  handshakeFlag,
  info,
  NbdProtocolError,
  option,
  optionMagic,
  optionReply,
  transmissionFlag,
} from "./protocol.ts";

/** What clients should keep to: any byte may be read, a page at least is sensible. */
const blockBytes = { minimum: 1, preferred: 4_096, maximum: requestBytesMax } as const;

export interface HandshakeSink {
  send(bytes: Buffer): void;
  /** The client's next byte begins a TLS handshake; the option has been acknowledged. */
  startTls(): void;
  /** The handshake is over; `rest` came behind it. */
  transmit(chosen: NbdExport, agreed: Agreed, rest: Buffer): void;
  /** The client has taken its leave. */
  end(): void;
}

export class Handshake {
  readonly #directory: ExportDirectory;
  readonly #tls: "none" | "required";
  readonly #sink: HandshakeSink;
  #received: Buffer = Buffer.alloc(0);
  #state: "flags" | "options" | "over" = "flags";
  #secure = false;
  #fixed = true;
  #zeroes = true;
  #options = 0;
  #structuredReplies = false;
  /** The export whose metadata context was set. */
  #allocationOf: NbdExport | undefined;

  constructor(directory: ExportDirectory, tls: "none" | "required", sink: HandshakeSink) {
    this.#directory = directory;
    this.#tls = tls;
    this.#sink = sink;
    sink.send(encodeGreeting());
  }

  /** What follows comes over TLS. */
  secured(): void {
    this.#secure = true;
    this.#structuredReplies = false;
    this.#allocationOf = undefined;
  }

  /** @throws NbdProtocolError at a breach: the connection is to be ended */
  receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#state !== "over" && this.#step());
    // A small rest of a large chunk does not keep the chunk.
    if (this.#state !== "over") this.#received = Buffer.from(this.#received);
  }

  /** Takes one word of the client's; false if it is not here yet. */
  #step(): boolean {
    const bytes = this.#received;
    if (this.#state === "flags") {
      if (bytes.length < 4) return false;
      this.#takeFlags(bytes.readUInt32BE(0));
      this.#received = bytes.subarray(4);
      return true;
    }
    if (bytes.length < optionHeadBytes) return false;
    if (bytes.readBigUInt64BE(0) !== optionMagic) throw new NbdProtocolError("an option began with a wrong magic");
    const length = bytes.readUInt32BE(12);
    if (length > optionBytesMax) throw new NbdProtocolError(`an option of ${length} bytes is too long`);
    if (bytes.length < optionHeadBytes + length) return false;
    this.#options += 1;
    if (this.#options > optionsMax) throw new NbdProtocolError(`more than ${optionsMax} options`);
    const data = bytes.subarray(optionHeadBytes, optionHeadBytes + length);
    this.#received = bytes.subarray(optionHeadBytes + length);
    this.#take(bytes.readUInt32BE(8), data);
    return true;
  }

  #takeFlags(flags: number): void {
    const known = handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes;
    if ((flags & ~known) !== 0) throw new NbdProtocolError(`unknown handshake flags 0x${(flags >>> 0).toString(16)}`);
    this.#fixed = (flags & handshakeFlag.fixedNewstyle) !== 0;
    this.#zeroes = (flags & handshakeFlag.noZeroes) === 0;
    this.#state = "options";
  }

  #take(code: number, data: Buffer): void {
    const mayAnswer = this.#fixed || code === option.exportName;
    if (!mayAnswer) throw new NbdProtocolError("an option other than EXPORT_NAME without the fixed newstyle handshake");
    if (this.#tls === "required" && !this.#secure && code !== option.startTls && code !== option.abort) {
      if (code === option.exportName) throw new NbdProtocolError("EXPORT_NAME before TLS");
      this.#refuse(code, optionReply.tlsRequired, "this server needs TLS");
      return;
    }
    switch (code) {
      case option.exportName:
        this.#takeExportName(data);
        break;
      case option.abort:
        this.#sink.send(encodeOptionReply(code, optionReply.ack));
        this.#state = "over";
        this.#sink.end();
        break;
      case option.list:
        this.#takeList(data);
        break;
      case option.startTls:
        this.#takeStartTls(data);
        break;
      case option.info:
      case option.go:
        this.#takeInfo(code, data);
        break;
      case option.structuredReply:
        this.#takeStructuredReply(data);
        break;
      case option.listMetaContext:
      case option.setMetaContext:
        this.#takeMetaContext(code, data);
        break;
      default:
        this.#refuse(code, optionReply.unsupported, "this server does not know the option");
        break;
    }
  }

  #takeStructuredReply(data: Buffer): void {
    const code = option.structuredReply;
    if (data.length > 0) {
      this.#refuse(code, optionReply.invalid, "this option has no data");
      return;
    }
    this.#structuredReplies = true;
    this.#sink.send(encodeOptionReply(code, optionReply.ack));
  }

  #takeExportName(data: Buffer): void {
    const name = data.toString("utf8");
    const chosen = data.length <= stringBytesMax ? this.#directory.find(name) : undefined;
    if (!chosen) throw new NbdProtocolError(`no export has the name ${shown(name)}`);
    this.#sink.send(encodeExportNameReply(chosen.disk.sizeBytes, this.#flags(), this.#zeroes));
    this.#transmit(chosen);
  }

  #takeList(data: Buffer): void {
    if (data.length > 0) {
      this.#refuse(option.list, optionReply.invalid, "this option has no data");
      return;
    }
    for (const name of this.#directory.names()) {
      this.#sink.send(encodeOptionReply(option.list, optionReply.server, encodeListed(name)));
    }
    this.#sink.send(encodeOptionReply(option.list, optionReply.ack));
  }

  #takeStartTls(data: Buffer): void {
    const code = option.startTls;
    if (data.length > 0) {
      this.#refuse(code, optionReply.invalid, "this option has no data");
      return;
    }
    if (this.#tls === "none") {
      this.#refuse(code, optionReply.policy, "this server has no certificate");
      return;
    }
    if (this.#secure) {
      this.#refuse(code, optionReply.invalid, "this connection has TLS already");
      return;
    }
    if (this.#received.length > 0) throw new NbdProtocolError("bytes ahead of the TLS handshake");
    this.#sink.send(encodeOptionReply(code, optionReply.ack));
    this.#sink.startTls();
  }

  #takeInfo(code: number, data: Buffer): void {
    const request = decodeInfoRequest(data);
    if (!request) {
      this.#refuse(code, optionReply.invalid, "the option's data is malformed");
      return;
    }
    const chosen = this.#directory.find(request.name);
    if (!chosen) {
      this.#refuse(code, optionReply.unknown, `no export has the name ${shown(request.name)}`);
      return;
    }
    const tell = (data: Buffer) => this.#sink.send(encodeOptionReply(code, optionReply.info, data));
    tell(encodeInfoExport(chosen.disk.sizeBytes, this.#flags()));
    if (request.wanted.has(info.name)) tell(encodeInfoText(info.name, chosen.name));
    if (request.wanted.has(info.description)) tell(encodeInfoText(info.description, chosen.description));
    const { minimum, preferred, maximum } = blockBytes;
    // Worth telling unasked, as the document recommends.
    tell(encodeInfoBlockSize(minimum, preferred, maximum));
    this.#sink.send(encodeOptionReply(code, optionReply.ack));
    if (code === option.go) this.#transmit(chosen);
  }

  #takeMetaContext(code: number, data: Buffer): void {
    if (!this.#structuredReplies) {
      this.#refuse(code, optionReply.invalid, "structured replies come first");
      return;
    }
    const request = decodeMetaRequest(data);
    if (!request) {
      this.#refuse(code, optionReply.invalid, "the option's data is malformed or asks too much");
      return;
    }
    const setting = code === option.setMetaContext;
    if (setting) this.#allocationOf = undefined;
    const chosen = this.#directory.find(request.name);
    if (!chosen) {
      this.#refuse(code, optionReply.unknown, `no export has the name ${shown(request.name)}`);
      return;
    }
    const { queries } = request;
    const listed = queries.length === 0 || queries.includes("base:") || queries.includes(baseAllocation);
    if (setting && queries.includes(baseAllocation)) {
      this.#allocationOf = chosen;
      this.#sink.send(encodeOptionReply(code, optionReply.metaContext, encodeMetaContext(baseAllocationId)));
    } else if (!setting && listed) {
      this.#sink.send(encodeOptionReply(code, optionReply.metaContext, encodeMetaContext(0)));
    }
    this.#sink.send(encodeOptionReply(code, optionReply.ack));
  }

  #refuse(code: number, type: number, message: string): void {
    this.#sink.send(encodeOptionError(code, type, message));
  }

  #transmit(chosen: NbdExport): void {
    this.#state = "over";
    const allocation = this.#allocationOf === chosen;
    const rest = this.#received;
    this.#received = Buffer.alloc(0);
    this.#sink.transmit(chosen, { structuredReplies: this.#structuredReplies, allocation }, rest);
  }

  /** Of an export: all that are read-only may be reached over several connections. */
  #flags(): number {
    const { hasFlags, readOnly, sendFlush, sendFua, sendDf, canMultiConn, sendCache } = transmissionFlag;
    const always = hasFlags | readOnly | sendFlush | sendFua | canMultiConn | sendCache;
    return this.#structuredReplies ? always | sendDf : always;
  }
}

/** A client's string, for a message. */
function shown(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name);
}
