import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { ended } from "./gateway.js";

/** The demonstration's worker with the page of `www/`, as `cargo xtask demo` starts it. */
export interface Demo {
  origin: string;
  stop(): Promise<void>;
}

export async function startDemo(origins: readonly string[], ...options: string[]): Promise<Demo> {
  const script = resolve(import.meta.dirname, "../../js/demo/serve.mjs");
  const args = [script, "--port", "0", "--origins", origins.join(","), ...options];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const origin = await new Promise<string>((done, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const ready = /ready: (http:\S+)/.exec(output)?.[1];
      if (ready !== undefined) done(ready);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`serve.mjs ended with ${code}:\n${output}`)));
  });
  return { origin, stop: () => ended(child) };
}
