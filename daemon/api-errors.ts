import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { messageOf, Problem, type ProblemKind } from "./problem.ts";

const codes: Record<ProblemKind, Code> = {
  invalid: Code.InvalidArgument,
  "not-found": Code.NotFound,
  "already-exists": Code.AlreadyExists,
  conflict: Code.FailedPrecondition,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  "data-loss": Code.DataLoss,
  cancelled: Code.Canceled,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
};

const statuses: Record<ProblemKind, number> = {
  invalid: 400,
  "not-found": 404,
  "already-exists": 409,
  conflict: 409,
  exhausted: 507,
  unavailable: 503,
  "data-loss": 422,
  cancelled: 499,
  unimplemented: 501,
  internal: 500,
};

/** The Connect error for anything thrown by the domain. What is not a Problem is our bug: Internal. */
export function connectErrorFrom(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof Problem)
    return new ConnectError(messageOf(error), codes[error.kind], undefined, undefined, error);
  if (error instanceof Error && error.name === "AbortError") return new ConnectError(error.message, Code.Canceled);
  return new ConnectError(`internal error: ${messageOf(error)}`, Code.Internal, undefined, undefined, error);
}

/** The HTTP status for anything thrown by the domain. */
export function httpStatusFrom(error: unknown): number {
  return error instanceof Problem ? statuses[error.kind] : 500;
}

/** A server interceptor that turns the domain's errors into Connect errors, in unary calls and within streams. */
export const translateErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    if (!response.stream) return response;
    return { ...response, message: translated(response.message) };
  } catch (error) {
    throw connectErrorFrom(error);
  }
};

async function* translated<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw connectErrorFrom(error);
  }
}
