import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { CliError, systemCodeIn } from "./cli-error.ts";
import { type DaemonAddress, unreachableMessage } from "./daemon-address.ts";

/** Why a connection failed, in words. */
const reasons: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ENOENT: "there is no such socket",
  EACCES: "not allowed to open the socket",
  ENOTFOUND: "unknown host",
  EAI_AGAIN: "the host's name cannot be looked up now",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "timed out",
  UND_ERR_CONNECT_TIMEOUT: "timed out",
};

/** The error for a connection that did not come about, or undefined if that is not what happened. */
export function unreachableError(address: DaemonAddress, error: unknown): CliError | undefined {
  const reason = reasons[systemCodeIn(error) ?? ""];
  return reason === undefined ? undefined : new CliError(unreachableMessage(address, reason), { cause: error });
}

/** Whether the connection did not come about. */
export function isUnreachable(error: unknown): boolean {
  return reasons[systemCodeIn(error) ?? ""] !== undefined;
}

/** What the user is told of an error in a call to a daemon, which had `timeoutMs` to answer if there was a limit. */
export function daemonError(address: DaemonAddress, error: ConnectError, timeoutMs?: number): CliError {
  const unreachable = unreachableError(address, error);
  if (unreachable) return unreachable;
  const code = systemCodeIn(error);
  if (code === "ECONNRESET" || code === "EPIPE" || /aborted|premature|other side closed/i.test(error.rawMessage)) {
    return new CliError(`the ${address.kind} at ${address.url} closed the connection; it may have been stopped`, {
      cause: error,
    });
  }
  if (error.code === Code.DeadlineExceeded) {
    return new CliError(silentMessage(address, timeoutMs), { cause: error });
  }
  if (error.code === Code.Unimplemented) {
    const message =
      `what answers at ${address.url} is no ${address.kind} of this version: it does not know this request. ` +
      `Are --seeder and --agent the right way round?`;
    return new CliError(message, { cause: error });
  }
  return new CliError(error.rawMessage, { cause: error });
}

/**
 * A transport each of whose errors has a `cause` that is a CliError for the user. It is no interceptor, because a call's
 * time limit ends it outside of those.
 */
export function explainErrors(transport: Transport, address: DaemonAddress): Transport {
  const explained = (error: unknown, timeoutMs: number | undefined) => {
    const connectError = ConnectError.from(error);
    const { rawMessage, code, metadata } = connectError;
    return new ConnectError(rawMessage, code, metadata, undefined, daemonError(address, connectError, timeoutMs));
  };
  async function* explainedStream<T>(messages: AsyncIterable<T>, timeoutMs: number | undefined): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (error) {
      throw explained(error, timeoutMs);
    }
  }
  return {
    unary: async (method, signal, timeoutMs, ...rest) => {
      try {
        return await transport.unary(method, signal, timeoutMs, ...rest);
      } catch (error) {
        throw explained(error, timeoutMs);
      }
    },
    stream: async (method, signal, timeoutMs, ...rest) => {
      try {
        const response = await transport.stream(method, signal, timeoutMs, ...rest);
        return { ...response, message: explainedStream(response.message, timeoutMs) };
      } catch (error) {
        throw explained(error, timeoutMs);
      }
    },
  };
}

/** Something listens, since the connection came about, but it says nothing. */
function silentMessage({ kind, url }: DaemonAddress, timeoutMs: number | undefined): string {
  const time = timeoutMs === undefined ? "in time" : `within ${timeoutMs / 1_000} s`;
  return (
    `the ${kind} at ${url} did not answer ${time}: it hangs, is very busy, or is no ${kind}. ` +
    `Try again, look at its log, and restart it if it stays silent.`
  );
}

/** The error for the user in anything thrown; undefined if it is none of the world's faults. */
export function cliErrorFrom(error: unknown): CliError | undefined {
  if (error instanceof CliError) return error;
  if (error instanceof ConnectError) {
    return error.cause instanceof CliError ? error.cause : new CliError(error.rawMessage, { cause: error });
  }
  return undefined;
}
