/** How eager to fetch ahead; the core's own numbers. */
export type Caution = 0 | 1 | 2;
const NORMAL = 0;
const CAUTIOUS = 1;
const OFF = 2;

/** The part of the Network Information API that says what the user pays for. */
export interface Connection extends EventTarget {
  readonly saveData?: boolean;
  readonly effectiveType?: string;
}

/**
 * How eager to be: nothing is fetched ahead under `Save-Data`, and only what is nearly certain while the page is hidden or
 * the link slow.
 */
export function judge(hidden: boolean, connection: Pick<Connection, "saveData" | "effectiveType"> | undefined): Caution {
  if (connection?.saveData === true) return OFF;
  return hidden || ["slow-2g", "2g"].includes(connection?.effectiveType ?? "") ? CAUTIOUS : NORMAL;
}
