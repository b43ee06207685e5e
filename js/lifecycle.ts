import { judge, type Caution, type Connection } from "./caution.js";

/** Before any listener of the application. */
const FIRST = { capture: true };

/** What becomes of a page, as far as it matters here. */
export interface LifecycleEvents {
  /** How eager to fetch ahead. */
  caution(level: Caution): void;
  /** Whether somebody looks, has a network, and does not ask to save data. */
  attention(active: boolean): void;
  /** Nobody may ever look again, and no later event is certain to come. */
  hidden(): void;
  /** The page is about to be suspended, or to end: whatever it holds is in somebody's way. */
  suspended(): void;
  /** It woke up: connections that were open may never speak again. */
  resumed(): void;
}

/**
 * Follows the life of a page, from now on; does nothing outside one.
 *
 * A page that is hidden, suspended or kept for the back button holds no connection: it could not be told from one that
 * is gone, and would keep the page from being kept. Listens at the window while events come down to their target, so
 * that whatever the application does at the same event finds everything in order.
 *
 * @returns ends the watch
 */
export function watchLifecycle(events: LifecycleEvents): () => void {
  if (typeof document === "undefined" || typeof window === "undefined" || typeof navigator === "undefined") {
    return () => undefined;
  }
  const { connection } = navigator as Navigator & { connection?: Connection };
  let suspended = false;
  const update = () => {
    const hidden = document.visibilityState === "hidden";
    const caution = judge(hidden, connection);
    events.caution(caution);
    events.attention(!suspended && looksActive(hidden, navigator.onLine, connection));
    if (hidden) events.hidden();
  };
  const suspend = () => {
    suspended = true;
    events.attention(false);
    events.suspended();
  };
  // Some browsers tell of one return twice, as `resume` and as `pageshow`; a page that is first shown was never away.
  const wake = () => {
    if (!suspended) return;
    suspended = false;
    events.resumed();
    update();
  };
  const handlers: [EventTarget | undefined, string, () => void][] = [
    [window, "visibilitychange", update],
    [window, "freeze", suspend],
    [window, "resume", wake],
    [window, "pagehide", suspend],
    [window, "pageshow", wake],
    [window, "online", update],
    [window, "offline", update],
    [connection, "change", update],
  ];
  for (const [target, type, handler] of handlers) target?.addEventListener(type, handler, FIRST);
  update();
  return () => {
    for (const [target, type, handler] of handlers) target?.removeEventListener(type, handler, FIRST);
  };
}

/** The rule by itself. A browser that says that it is on line may be wrong; one that says that it is not seldom is. */
export function looksActive(hidden: boolean, onLine: boolean | undefined, connection: { saveData?: boolean } | undefined): boolean {
  return !hidden && onLine !== false && connection?.saveData !== true;
}
