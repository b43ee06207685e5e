/*! Contains idb, Copyright (c) 2016, Jake Archibald (ISC): https://github.com/jakearchibald/idb */
import { openDB, type DBSchema, type IDBPDatabase } from "idb";

const DATABASE = "foremap";
/** Raised with the layout below; what an earlier one kept is dropped. */
const LAYOUT = 1;
/** States and models that are kept at most, those of eight users and clusters that have both; the ones longest unused go first. */
const MAX_STATES = 16;
/** No event ever comes from a connection that a frozen page holds, so nothing is waited for longer. */
const OPEN_MS = 2_000;
const TRANSACTION_MS = 2_000;

interface Layout extends DBSchema {
  states: { key: string[]; value: { bytes: Uint8Array; at: number }; indexes: { at: number } };
}

/** Whose state, or model: the scope, the cluster, and the form of what is kept. */
export type StateKey = readonly [scope: string, cluster: string, form: string];

/** A connection to the database of this origin. Any call may fail, and then the connection is of no use any more. */
export interface Store {
  /** What is kept in `forms`, in their order; anything else of the same scope and cluster is dropped. */
  load(scope: string, cluster: string, forms: readonly string[]): Promise<(Uint8Array | null)[]>;
  /** @param alone drops what is kept of everybody else in the same transaction, to make room */
  save(key: StateKey, bytes: Uint8Array, alone: boolean): Promise<void>;
  delete(key: StateKey): Promise<void>;
  /** What is under way still ends. */
  close(): void;
}

/** Opens the database. @param lost hears once that the connection is gone without having been closed from here */
export async function openStore(lost: () => void): Promise<Store> {
  let late = false;
  const opening = openDB<Layout>(DATABASE, LAYOUT, {
    upgrade: (db) => {
      for (const name of db.objectStoreNames) db.deleteObjectStore(name);
      db.createObjectStore("states").createIndex("at", "at");
    },
    // A page of another version wants to change the layout.
    blocking: (_current, _wanted, event) => {
      (event.target as IDBDatabase).close();
      lost();
    },
    terminated: lost,
  });
  opening.then((db) => late && db.close(), () => undefined);
  try {
    return new Connection(await limited(opening, OPEN_MS));
  } catch (error) {
    late = true;
    throw error;
  }
}

class Connection implements Store {
  constructor(private readonly db: IDBPDatabase<Layout>) {}

  async load(scope: string, cluster: string, forms: readonly string[]): Promise<(Uint8Array | null)[]> {
    const tx = this.db.transaction("states", "readwrite");
    const work = async () => {
      const found = await Promise.all(forms.map((form) => tx.store.get([scope, cluster, form])));
      // What another version of this package kept is of no use to anybody.
      for (const key of await tx.store.getAllKeys(below(scope, cluster))) {
        if (!forms.includes(String(key[2]))) await tx.store.delete(key);
      }
      let over = (await tx.store.count()) - MAX_STATES;
      for (let oldest = await tx.store.index("at").openCursor(); oldest !== null && over > 0; over -= 1) {
        await oldest.delete();
        oldest = await oldest.continue();
      }
      await tx.done;
      return found.map((kept) => (kept?.bytes instanceof Uint8Array ? kept.bytes : null));
    };
    return limited(work(), TRANSACTION_MS);
  }

  save([scope, cluster, form]: StateKey, bytes: Uint8Array, alone: boolean): Promise<void> {
    const tx = this.db.transaction("states", "readwrite", { durability: "relaxed" });
    // A quota is reported as the reason why the transaction was aborted, not always by the request.
    const failed = () => undefined;
    if (alone) tx.store.clear().catch(failed);
    tx.store.put({ bytes, at: Date.now() }, [scope, cluster, form]).catch(failed);
    // Not left to the end of the requests: a page that is about to go does not live to see that.
    tx.commit();
    return limited(tx.done, TRANSACTION_MS);
  }

  async delete([scope, cluster]: StateKey): Promise<void> {
    return limited(this.db.delete("states", below(scope, cluster)), TRANSACTION_MS);
  }

  close(): void {
    this.db.close();
  }
}

/** Whatever is kept for a scope and a cluster: no text stands above an array. */
function below(scope: string, cluster: string): IDBKeyRange {
  return IDBKeyRange.bound([scope, cluster], [scope, cluster, []]);
}

function limited<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DOMException("took too long", "TimeoutError")), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
