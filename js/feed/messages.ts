/** What members say to each other. Each message has the sender's name; what a leader says has the number of its term. */
export type Message = { from: string } & (
  | { type: "join"; id: string }
  | { type: "lead"; term: number }
  | { type: "wait"; term: number; id: string }
  | { type: "opening"; term: number; id: string; bytes: Uint8Array<ArrayBuffer> }
  | { type: "frame"; term: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: "end"; term: number; status: number; retryAfterMs: number }
);

type Unsent<M> = M extends Message ? Omit<M, "from"> : never;

/** The feed channel of one name, for as long as somebody holds or follows a feed. */
export class FeedChannel {
  readonly #from = name();
  readonly #channel: BroadcastChannel;

  constructor(channel: BroadcastChannel, hear: (message: Message) => void) {
    this.#channel = channel;
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (isMessage(data)) hear(data);
    };
  }

  /** Never throws: what cannot be said is found missing by its number. */
  say(message: Unsent<Message>): void {
    try {
      this.#channel.postMessage({ from: this.#from, ...message });
    } catch {
      // The channel is closed, or there is no memory for a copy.
    }
  }

  /** What was said before still arrives. */
  close(): void {
    this.#channel.onmessage = null;
    this.#channel.close();
  }
}

/** A name that nobody else has. */
export function name(): string {
  return crypto.randomUUID();
}

/** Other scripts of the origin can say what they like on a channel. */
function isMessage(data: unknown): data is Message {
  if (typeof data !== "object" || data === null) return false;
  const { type, from, id, term, bytes } = data as { [field: string]: unknown };
  if (typeof from !== "string") return false;
  if (type === "join") return typeof id === "string";
  if (!Number.isSafeInteger(term)) return false;
  switch (type) {
    case "lead":
    case "end":
      return true;
    case "wait":
      return typeof id === "string";
    case "opening":
      return typeof id === "string" && bytes instanceof Uint8Array;
    case "frame":
      return bytes instanceof Uint8Array;
    default:
      return false;
  }
}
