import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
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

/** What the user is told of an error in a call to a daemon. */
export function daemonError(address: DaemonAddress, error: ConnectError): CliError {
  const unreachable = unreachableError(address, error);
  if (unreachable) return unreachable;
  const code = systemCodeIn(error);
  if (code === "ECONNRESET" || code === "EPIPE" || /aborted|premature|other side closed/i.test(error.rawMessage)) {
    return new CliError(`the ${address.kind} at ${address.url} closed the connection; it may have been stopped`, {
      cause: error,
    });
  }
  if (error.code === Code.DeadlineExceeded) {
    return new CliError(`the ${address.kind} at ${address.url} did not answer in time`, { cause: error });
  }
  if (error.code === Code.Unimplemented) {
    const message =
      `what answers at ${address.url} is no ${address.kind} of this version: it does not know this request. ` +
      `Are --seeder and --agent the right way round?`;
    return new CliError(message, { cause: error });
  }
  return new CliError(error.rawMessage, { cause: error });
}

/** A client interceptor that gives every error of a call a `cause` that is a CliError for the user. */
export function explainErrors(address: DaemonAddress): Interceptor {
  const explained = (error: unknown) => {
    const connectError = ConnectError.from(error);
    const { rawMessage, code, metadata } = connectError;
    return new ConnectError(rawMessage, code, metadata, undefined, daemonError(address, connectError));
  };
  async function* explainedStream<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (error) {
      throw explained(error);
    }
  }
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: explainedStream(response.message) } : response;
    } catch (error) {
      throw explained(error);
    }
  };
}

/** The error for the user in anything thrown; undefined if it is none of the world's faults. */
export function cliErrorFrom(error: unknown): CliError | undefined {
  if (error instanceof CliError) return error;
  if (error instanceof ConnectError) {
    return error.cause instanceof CliError ? error.cause : new CliError(error.rawMessage, { cause: error });
  }
  return undefined;
}
