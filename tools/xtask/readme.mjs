#!/usr/bin/env node
/**
 * Runs one example of the README and prints what it prints.
 *
 *   node xtask/readme.mjs node|browser|worker FILE
 *
 * A browser example runs in a page of headless Chromium, bundled by esbuild without any configuration. A worker
 * example runs in workerd, and is sent one request for the key that the Node.js example wrote.
 */
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { build } from "esbuild";

const KEY = "acme/users/42";

async function bundle(file, options) {
  const result = await build({
    entryPoints: [file],
    bundle: true,
    format: "esm",
    write: false,
    outdir: path.dirname(file),
    logLevel: "error",
    ...options,
  });
  return result.outputFiles;
}

async function inBrowser(file) {
  const { chromium } = await import("playwright-core");
  const [script] = await bundle(file, { platform: "browser" });
  const page = '<!doctype html><meta charset="utf-8"><body><script type="module" src="/script.js"></script>';
  const server = http.createServer((request, response) => {
    const isScript = request.url === "/script.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script.text : page);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const browser = await chromium.launch({
    executablePath: process.env.FOREMAP_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"],
  });
  try {
    const tab = await browser.newPage();
    tab.on("console", (message) => console.log(message.text()));
    tab.on("pageerror", (error) => {
      console.error(error);
      process.exitCode = 1;
    });
    await tab.goto(`http://localhost:${server.address().port}/`);
    // An example ends by showing what it found.
    await tab.waitForFunction(() => document.body.innerText.trim() !== "", undefined, { timeout: 20_000 });
  } finally {
    await browser.close();
    server.close();
  }
}

async function inWorker(file) {
  const { Miniflare } = await import("miniflare");
  const outputs = await bundle(file, {
    platform: "neutral",
    conditions: ["workerd", "worker"],
    loader: { ".wasm": "copy" },
    entryNames: "worker",
    outExtension: { ".js": ".mjs" },
  });
  const modules = outputs.map((output) => {
    const isWasm = output.path.endsWith(".wasm");
    return { type: isWasm ? "CompiledWasm" : "ESModule", path: output.path, contents: output.contents };
  });
  modules.sort((a, b) => Number(b.type === "ESModule") - Number(a.type === "ESModule"));
  const worker = new Miniflare({
    modulesRoot: path.dirname(file),
    modules,
    compatibilityDate: "2026-04-01",
    cf: false,
  });
  try {
    const answer = await worker.dispatchFetch(`http://worker/v1/keymap?key=${encodeURIComponent(KEY)}`);
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status} ${body}`);
    if (JSON.parse(body).key !== KEY) throw new Error(`the answer is about another key: ${body}`);
  } finally {
    await worker.dispose();
  }
}

const [runtime, file] = process.argv.slice(2);
const run = { node: (module) => import(pathToFileURL(module)), browser: inBrowser, worker: inWorker }[runtime];
if (!run || !file) throw new Error("usage: node xtask/readme.mjs node|browser|worker FILE");
await readFile(file);
await run(path.resolve(file));
