import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../support/gateway.js";

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway(1);
});
afterAll(() => gateway?.stop());

test("an idle client does not keep a process alive, a waiting one does", async () => {
  const code = `
    import { createClient } from "foremap";
    const client = createClient({ origins: ["${gateway.origins[0]}"] });
    console.log(await client.get("exit/a"));
    console.log(await client.get("exit/b"));
  `;
  const began = performance.now();
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    cwd: resolve(import.meta.dirname, "../.."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  expect(await new Promise((done) => child.once("exit", done))).toBe(0);
  expect(output).toBe("null\nnull\n");
  expect(performance.now() - began).toBeLessThan(8_000);
});
