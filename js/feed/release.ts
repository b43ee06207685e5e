/** As much of Node as is needed to find the socket of a request. */
interface Channel {
  subscribe(listener: (message: unknown) => void): void;
  unsubscribe(listener: (message: unknown) => void): void;
}
interface Sent {
  readonly request?: { readonly origin?: unknown; readonly path?: unknown };
  readonly socket?: { unref?(): void };
}
type Builtin = (name: string) => { channel?(name: string): Channel } | undefined;

/**
 * Lets a process end while the next request to `url` is open: in Node a socket that is being read keeps it alive.
 *
 * Node's `fetch` says on a diagnostics channel over which socket a request leaves. What has no such channel has no such
 * socket, or keeps the process.
 *
 * @returns ends the watch, at the latest when the request is over
 */
export function releaseProcess(url: string): () => void {
  const channel = sendingChannel();
  if (channel === undefined) return () => undefined;
  const { origin, pathname } = new URL(url);
  const onSent = (message: unknown) => {
    const { request, socket } = message as Sent;
    if (String(request?.origin).replace(/\/$/, "") !== origin || request?.path !== pathname) return;
    socket?.unref?.();
    channel.unsubscribe(onSent);
  };
  channel.subscribe(onSent);
  return () => channel.unsubscribe(onSent);
}

function sendingChannel(): Channel | undefined {
  const host = (globalThis as { process?: { getBuiltinModule?: Builtin } }).process;
  return host?.getBuiltinModule?.("node:diagnostics_channel")?.channel?.("undici:client:sendHeaders");
}
