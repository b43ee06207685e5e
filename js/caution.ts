/** How eager to fetch ahead; the core's own numbers. */
export type Caution = 0 | 1 | 2;
const NORMAL = 0;
const CAUTIOUS = 1;
const OFF = 2;

/** The part of the Network Information API that says what the user pays for. */
interface Connection extends EventTarget {
  readonly saveData?: boolean;
  readonly effectiveType?: string;
}

/**
 * Tells `apply` how eager to be, now and whenever it changes: nothing is fetched ahead under `Save-Data`, and only what
 * is nearly certain while the page is hidden or the link slow. Does nothing outside a page.
 *
 * @returns ends the watch
 */
export function watchCaution(apply: (caution: Caution) => void): () => void {
  if (typeof document === "undefined" || typeof navigator === "undefined") return () => undefined;
  const { connection } = navigator as Navigator & { connection?: Connection };
  const update = () => apply(judge(document.visibilityState === "hidden", connection));
  document.addEventListener("visibilitychange", update);
  connection?.addEventListener("change", update);
  update();
  return () => {
    document.removeEventListener("visibilitychange", update);
    connection?.removeEventListener("change", update);
  };
}

/** The rule by itself. */
export function judge(hidden: boolean, connection: Pick<Connection, "saveData" | "effectiveType"> | undefined): Caution {
  if (connection?.saveData === true) return OFF;
  return hidden || ["slow-2g", "2g"].includes(connection?.effectiveType ?? "") ? CAUTIOUS : NORMAL;
}
