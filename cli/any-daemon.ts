import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { CliError, systemCodeIn } from "./cli-error.ts";
import type { DaemonAddress } from "./daemon-address.ts";
import { startCommandOf } from "./daemon-address.ts";
import { isUnreachable } from "./daemon-errors.ts";

/** How long one that may be passed over has to answer, in milliseconds. */
const passOverMs = 5_000;

/** The daemons that a command may ask, all as good as each other, and which it does. */
export interface AnyDaemon {
  transport: Transport;
  /** The one that answered last; the first before any has. */
  readonly address: DaemonAddress;
}

/** A transport to the first that answers; the command stays with it while it does. Streams are never begun anew. */
export function anyDaemonOf(
  addresses: readonly DaemonAddress[],
  transportTo: (address: DaemonAddress) => Transport,
): AnyDaemon {
  const all = addresses.map((address) => ({ address, transport: transportTo(address) }));
  let current = 0;
  const ask = async <T>(call: (transport: Transport, isLast: boolean) => Promise<T>): Promise<T> => {
    const errors: unknown[] = [];
    for (let tried = 0, index = current; ; tried++) {
      const isLast = tried === all.length - 1;
      try {
        const answer = await call(all[index]!.transport, isLast);
        current = index;
        return answer;
      } catch (error) {
        errors.push(error);
        if (!mayPassOver(error)) throw error;
        const next = (index + 1) % all.length;
        // Of calls at the same time, another may have moved on already.
        if (current === index) current = next;
        index = next;
        if (isLast) throw all.length === 1 ? error : noneAnswers(addresses, errors);
      }
    }
  };
  return {
    get address() {
      return all[current]!.address;
    },
    transport: {
      unary: (method, signal, timeoutMs, ...rest) =>
        ask((transport, isLast) => {
          const limitMs = isLast ? timeoutMs : Math.min(passOverMs, timeoutMs ?? Number.POSITIVE_INFINITY);
          // Without a limit the call is one that takes its time.
          return transport.unary(method, signal, timeoutMs === undefined ? undefined : limitMs, ...rest);
        }),
      stream: (...call) => ask((transport) => transport.stream(...call)),
    },
  };
}

function mayPassOver(error: unknown): boolean {
  if (isUnreachable(error)) return true;
  const { code } = ConnectError.from(error);
  return code === Code.DeadlineExceeded || code === Code.Unavailable || systemCodeIn(error) === "ECONNRESET";
}

function noneAnswers(addresses: readonly DaemonAddress[], errors: readonly unknown[]): ConnectError {
  const { kind } = addresses[0]!;
  const urls = addresses.map(({ url }) => url).join(", ");
  const message = `no ${kind} answers at any of ${urls}. Start one with \`${startCommandOf(kind)}\`, or point to others.`;
  return new ConnectError(message, Code.Unavailable, undefined, undefined, new CliError(message, { cause: errors[0] }));
}
