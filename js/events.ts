/** Listeners by event name. What a listener throws is reported and stops nothing. */
export class Emitter<Events> {
  #listeners = new Map<keyof Events, Set<(detail: never) => void>>();

  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit<E extends keyof Events>(event: E, detail: Events[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        (listener as (detail: Events[E]) => void)(detail);
      } catch (error) {
        console.error(`foremap: a listener of "${String(event)}" threw`, error);
      }
    }
  }
}
