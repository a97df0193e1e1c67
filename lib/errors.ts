/**
 * Errors by whose fault they are. A fault of our own caller is a `TypeError` or `RangeError`, one of the network is a
 * `Deno.errors.*`; the rest is here.
 * @module
 */

/** The peer broke the protocol. The edge closes this connection and keeps serving the others. */
export class ProtocolError extends Error {
  /** Its name in a log. */
  override name = "ProtocolError";
}

/** The peer announced or sent more than the limit; thrown before anything of that size is stored. */
export class FrameTooLargeError extends ProtocolError {
  /** Its name in a log. */
  override name = "FrameTooLargeError";
}

/** The peer closed its side in the middle of a message. */
export class TruncatedError extends ProtocolError {
  /** Its name in a log. */
  override name = "TruncatedError";
}

/** The peer could not prove who it is. Every cause reads the same on the wire: the connection ends. */
export class AuthenticationError extends ProtocolError {
  /** Its name in a log. */
  override name = "AuthenticationError";
}

/** The user of a program asked for something that it cannot do: exit code 2. */
export class UsageError extends Error {
  /** Its name in a log. */
  override name = "UsageError";
  /** What to do about it, as one line. */
  readonly hint: string | undefined;

  /** `message` says what is wrong, `options.hint` what would be right. */
  constructor(message: string, options?: ErrorOptions & { hint?: string }) {
    super(message, options);
    this.hint = options?.hint;
  }
}
