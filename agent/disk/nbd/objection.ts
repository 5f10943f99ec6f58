/** Why a request of the transmission phase is refused, pure (NBD proto.md, "Request types" and "Error values"). */
import type { Agreed } from "./export.ts";
import { requestBytesMax, unfragmentedBytesMax } from "./limits.ts";
import { command, commandFlag, nbdError } from "./protocol.ts";
import type { NbdRequest } from "./request-codec.ts";

export interface Objection {
  /** NBD's error number. */
  code: number;
  message: string;
}

/**
 * What is wrong with a request to a read-only export, if anything is.
 *
 * @param sizeBytes of the disk
 * @param agreed what client and server have negotiated
 */
export function objectionTo(request: NbdRequest, sizeBytes: number, agreed: Agreed): Objection | undefined {
  const { type, flags, offset, length } = request;
  switch (type) {
    case command.write:
    case command.trim:
    case command.writeZeroes:
      return { code: nbdError.perm, message: "the export is read-only" };
    case command.flush:
      // The document has offset and length as zero, and some clients have sent others.
      return (flags & ~commandFlag.fua) === 0 ? undefined : invalid("unknown flags of a flush");
    case command.read:
    case command.cache:
    case command.blockStatus:
      break;
    default:
      return invalid(`unknown command ${type}`);
  }
  // FUA means nothing to commands that do not write; the document has servers accept it.
  const own = type === command.read ? commandFlag.df : type === command.blockStatus ? commandFlag.reqOne : 0;
  if ((flags & ~(commandFlag.fua | own)) !== 0) return invalid("flags that do not go with the command");
  if (length === 0 && type !== command.cache) return invalid("a length of zero");
  if (offset + length > sizeBytes) return invalid("beyond the end of the disk");
  if (type === command.blockStatus) return agreed.allocation ? undefined : invalid("no metadata context is set");
  return type === command.read ? objectionToRead(request, agreed) : undefined;
}

function objectionToRead({ flags, length }: NbdRequest, agreed: Agreed): Objection | undefined {
  if (length > requestBytesMax) return invalid(`a read of more than ${requestBytesMax} bytes`);
  if ((flags & commandFlag.df) === 0) return undefined;
  if (!agreed.structuredReplies) return invalid("DF without structured replies");
  const fits = length <= unfragmentedBytesMax;
  return fits ? undefined : { code: nbdError.overflow, message: "too long to be sent in one piece" };
}

function invalid(message: string): Objection {
  return { code: nbdError.invalid, message };
}
