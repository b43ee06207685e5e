import { canStream } from "./feed/source.js";

/** Classes of global scopes, by the runtimes that have them. */
interface Globals {
  window?: unknown;
  document?: unknown;
  Deno?: unknown;
  Bun?: unknown;
  process?: { getBuiltinModule?: unknown };
  DedicatedWorkerGlobalScope?: unknown;
  SharedWorkerGlobalScope?: unknown;
  ServiceWorkerGlobalScope?: unknown;
}

const globals = globalThis as Globals;

/** Whether a person sits in front of it: a page, or a worker that belongs to pages. */
export function isBrowser(): boolean {
  if (globals.Deno !== undefined || globals.Bun !== undefined) return false;
  if (globals.window !== undefined && globals.document !== undefined) return true;
  return globals.DedicatedWorkerGlobalScope !== undefined || globals.SharedWorkerGlobalScope !== undefined;
}

/**
 * Whether a change feed is held here unless told otherwise: a service worker is ended under it, and a process must be able to
 * end while it is open, which only Node's `fetch` allows for ({@link releaseProcess}).
 */
export function holdsFeed(): boolean {
  if (!canStream() || globals.ServiceWorkerGlobalScope !== undefined) return false;
  if (isBrowser()) return true;
  const { Deno, Bun, process } = globals;
  return Deno === undefined && Bun === undefined && typeof process?.getBuiltinModule === "function";
}
