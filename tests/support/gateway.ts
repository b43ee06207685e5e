import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BINARY = process.env.FOREMAP_GATEWAY ?? resolve(import.meta.dirname, "../../target/debug/foremap-gateway");

/** Real gateway nodes in one process, over a store of their own. */
export interface Gateway {
  origins: string[];
  stop(): Promise<void>;
}

/** Starts `nodes` nodes on free ports and waits until every one is ready. */
export async function startGateway(nodes = 3, ...options: string[]): Promise<Gateway> {
  if (!existsSync(BINARY)) {
    throw new Error(`${BINARY} is missing: build it with \`cargo build -p foremap-gateway\``);
  }
  const folder = await mkdtemp(join(tmpdir(), "foremap-"));
  const args = ["dev", "--nodes", String(nodes), "--port", "0", "--store", join(folder, "store.redb"), ...options];
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
  const stop = async () => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { origins: await readyOrigins(child, nodes), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function readyOrigins(child: ChildProcess, nodes: number): Promise<string[]> {
  return new Promise((resolveOrigins, reject) => {
    let output = "";
    const origins = new Set<string>();
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      for (const [, origin] of output.matchAll(/ready at (http:\S+)/g)) if (origin) origins.add(origin);
      if (origins.size === nodes) resolveOrigins([...origins]);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}:\n${output}`)));
  });
}

/** Ends a child process and waits for it. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await exit;
}

/** Runs the gateway's command line to its end and returns what it prints. */
export function gatewayCommand(...args: string[]): Promise<string> {
  return new Promise((done, reject) => {
    const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? done(output.trim()) : reject(new Error(`exit code ${code}`))));
  });
}
