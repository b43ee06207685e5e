/** What a hub keeps in the SQLite storage of its Durable Object. */
import { joined } from "../bytes.js";

/** The part of a Durable Object's storage that a hub uses. */
export interface HubStorage {
  readonly sql: {
    exec(query: string, ...values: unknown[]): Iterable<{ [column: string]: unknown }>;
    readonly databaseSize: number;
  };
  transactionSync<T>(work: () => T): T;
  getAlarm(): Promise<number | null>;
  setAlarm(at: number): Promise<void>;
}

/** Bytes of one row of what is kept: a row may have 2 MB. */
const PART_BYTES = 1 << 20;

/** What is kept: the merged counts, what each client contributed in this hour, and the model that is served. */
export type Kept = "counts" | "shares" | "model";

/** Rows that were told and are not in the counts yet, and what came of those before. Nothing here outlives a failed transaction. */
export class HubStore {
  constructor(private readonly storage: HubStorage) {
    const { sql } = storage;
    sql.exec("CREATE TABLE IF NOT EXISTS told (id INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS kept (name TEXT NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (name, part)) WITHOUT ROWID",
    );
  }

  /** Rows that are not in the counts yet. */
  pending(): { rows: number; bytes: number } {
    const [found] = this.storage.sql.exec("SELECT COUNT(*) AS count, COALESCE(SUM(LENGTH(row)), 0) AS bytes FROM told");
    return { rows: Number(found?.count ?? 0), bytes: Number(found?.bytes ?? 0) };
  }

  add(row: Uint8Array<ArrayBuffer>): void {
    this.storage.sql.exec("INSERT INTO told (row) VALUES (?)", row);
  }

  /** Rows behind `id`, in order. */
  *after(id: number): Iterable<{ id: number; row: Uint8Array<ArrayBuffer> }> {
    for (const found of this.storage.sql.exec("SELECT id, row FROM told WHERE id > ? ORDER BY id", id)) {
      yield { id: Number(found.id), row: new Uint8Array(found.row as ArrayBuffer) };
    }
  }

  drop(id: number): void {
    this.storage.sql.exec("DELETE FROM told WHERE id = ?", id);
  }

  /** Empty where nothing is kept. */
  read(name: Kept): Uint8Array<ArrayBuffer> {
    const found = this.storage.sql.exec("SELECT bytes FROM kept WHERE name = ? ORDER BY part", name);
    return joined([...found].map(({ bytes }) => new Uint8Array(bytes as ArrayBuffer)));
  }

  /** Replaces what is given, and drops rows up to `merged` where the counts are: all of it or nothing. */
  keep(kept: { [name in Kept]?: Uint8Array<ArrayBuffer> | undefined }, merged: number): void {
    const { sql } = this.storage;
    this.storage.transactionSync(() => {
      for (const [name, bytes] of Object.entries(kept)) {
        if (bytes === undefined) continue;
        sql.exec("DELETE FROM kept WHERE name = ?", name);
        for (let part = 0; part * PART_BYTES < bytes.byteLength; part += 1) {
          const some = bytes.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
          sql.exec("INSERT INTO kept (name, part, bytes) VALUES (?, ?, ?)", name, part, some);
        }
      }
      if (kept.counts !== undefined) sql.exec("DELETE FROM told WHERE id <= ?", merged);
    });
  }

  get bytes(): number {
    return this.storage.sql.databaseSize;
  }
}
