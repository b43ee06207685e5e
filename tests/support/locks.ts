import type { Locks } from "../../js/feed/member.js";

interface Holder {
  name: string;
  steal(): void;
}

/** As much of Web Locks as the client uses, for several clients of one process. */
export class FakeLocks {
  held = new Map<string, Holder>();

  /** What one client sees as `navigator.locks`. */
  get locks(): Locks {
    return { request: (...args: unknown[]) => this.#request(...args) } as Locks;
  }

  async #request(...args: unknown[]): Promise<unknown> {
    const [name, options, granted] = args as [
      string,
      { ifAvailable?: boolean; steal?: boolean },
      (lock: Lock | null) => Promise<unknown>,
    ];
    await undefined;
    if (options.steal) this.held.get(name)?.steal();
    else if (this.held.has(name)) return granted(null);
    return new Promise((resolve, reject) => {
      const holder = { name, steal: () => reject(new DOMException("stolen", "AbortError")) };
      this.held.set(name, holder);
      granted({ name, mode: "exclusive" })
        .then(resolve, reject)
        .finally(() => this.held.get(name) === holder && this.held.delete(name));
    });
  }
}
