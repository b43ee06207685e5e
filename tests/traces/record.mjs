#!/usr/bin/env node
/**
 * Records npm-install.csv.gz, the project's trace of a real client: npm
 * installing the tool sets listed in installs.json, through a logging proxy on
 * loopback.
 *
 *   node tests/traces/record.mjs           record the trace again
 *   node tests/traces/record.mjs --check   validate the kept trace, print counts
 *
 * One install is one client: a fresh npm process with a fresh project folder
 * and a fresh, empty npm cache, told apart from the others by the path prefix
 * of the registry URL it is given. Installs of one group run at the same time;
 * groups run one after another.
 *
 * The proxy forwards to the registry that `npm config get registry` names and
 * keeps every good answer in memory until the recording ends, so a registry is
 * asked for each thing once however many installs want it. Every request that
 * npm makes is logged all the same, at the moment it reaches the proxy, whether
 * it is answered from that memory or not. Answers from memory come faster than
 * a registry's would, so the gaps after them are shorter than in the field.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const TRACE_FILE = path.join(here, 'npm-install.csv.gz');
const INSTALLS_FILE = path.join(here, 'installs.json');
const HEADER = 'timestamp_ms,client,key';
const MIN_REQUESTS = 5000;

// ---------------------------------------------------------------- keys

const SAFE_BYTE = /[A-Za-z0-9._~:;=+@!$*()[\]{}|^-]/;

function escapeBytes(bytes) {
  return Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    return SAFE_BYTE.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
}

/**
 * The key of a registry path, or null for a path that is neither a package's
 * metadata nor a tarball: `scope/name/metadata` or `scope/name/version`, with
 * `_` as the scope of an unscoped package.
 */
function keyOfRegistryPath(registryPath) {
  const match = /^(?:(@[^/]+)\/)?([^/@][^/]*)(?:\/-\/(?:@[^/]+\/)?([^/]+)\.tgz)?$/.exec(
    decodeURIComponent(registryPath),
  );
  if (!match) return null;
  const [, scope = '_', name, tarball] = match;
  // A tarball is named after the package without its scope, then the version.
  if (tarball && !tarball.startsWith(`${name}-`)) return null;
  const last = tarball ? tarball.slice(name.length + 1) : 'metadata';
  return [scope, name, last].map((text) => escapeBytes(Buffer.from(text, 'utf8'))).join('/');
}

/** A component is canonical if it is not empty, `.` or `..`, and unescaping and escaping it again changes nothing. */
function isCanonicalKey(key) {
  const components = key.split('/');
  return (
    components.length >= 2 &&
    components.length <= 16 &&
    components.every((component) => {
      if (['', '.', '..'].includes(component)) return false;
      const bytes = component.replace(/%([0-9A-F]{2})/g, (_, hex) =>
        String.fromCharCode(parseInt(hex, 16)),
      );
      return escapeBytes(Buffer.from(bytes, 'latin1')) === component;
    })
  );
}

// ---------------------------------------------------------------- upstream

function runNpm(args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve(stdout.trim())
        : reject(new Error(`npm ${args[0]} exited with ${code}\n${stderr}`)),
    );
  });
}

/** The registry npm is configured for, asked at most once for each answer. */
class Upstream {
  #answers = new Map();

  static async configured() {
    const registry = await runNpm(['config', 'get', 'registry']);
    const cafile = await runNpm(['config', 'get', 'cafile']);
    const ca = cafile && cafile !== 'null' ? await readFile(cafile) : undefined;
    return new Upstream(registry.replace(/\/*$/, '/'), ca);
  }

  constructor(registry, ca) {
    this.registry = registry;
    this.transport = registry.startsWith('https:') ? https : http;
    this.agent = new this.transport.Agent({ keepAlive: true, maxSockets: 12, ca });
  }

  get(registryPath, requestHeaders) {
    // The registry answers with shorter or longer metadata depending on `accept`.
    const id = `${requestHeaders.accept} ${registryPath}`;
    let answer = this.#answers.get(id);
    if (!answer) {
      answer = this.#fetch(registryPath, requestHeaders);
      this.#answers.set(id, answer);
      const forget = () => this.#answers.delete(id);
      answer.then(({ status }) => status === 200 || forget(), forget);
    }
    return answer;
  }

  #fetch(registryPath, { accept = '*/*', 'user-agent': userAgent = 'npm' }) {
    return new Promise((resolve, reject) => {
      const headers = { accept, 'user-agent': userAgent, 'accept-encoding': 'gzip' };
      const request = this.transport.get(
        this.registry + registryPath,
        { agent: this.agent, headers, timeout: 60_000 },
        (response) => {
          buffer(response).then((received) => {
            const zipped = response.headers['content-encoding'] === 'gzip';
            resolve({
              status: response.statusCode,
              type: response.headers['content-type'],
              cacheControl: response.headers['cache-control'],
              body: zipped ? gunzipSync(received) : received,
            });
          }).catch(reject);
        },
      );
      request.on('timeout', () => request.destroy(new Error('upstream timed out')));
      request.on('error', reject);
    });
  }
}

// ---------------------------------------------------------------- proxy

/** A registry on loopback that logs what each install asks for. */
class LoggingProxy {
  requests = [];
  unlogged = [];
  failures = [];

  static async start(upstream) {
    const proxy = new LoggingProxy(upstream);
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    proxy.startedAt = performance.now();
    return proxy;
  }

  constructor(upstream) {
    this.upstream = upstream;
    this.server = http.createServer((request, response) => {
      this.#serve(request, response).catch((error) => {
        this.failures.push(`${request.url}: ${error.message}`);
        response.writeHead(502).end();
      });
    });
  }

  registryFor(install) {
    return `http://127.0.0.1:${this.server.address().port}/i${install}/`;
  }

  async #serve(request, response) {
    const arrival = Math.floor(performance.now() - this.startedAt);
    const [, install, registryPath] = /^\/i(\d+)\/([^?]*)/.exec(request.url) ?? [];
    const key = registryPath && request.method === 'GET' ? keyOfRegistryPath(registryPath) : null;
    if (!key) {
      this.unlogged.push(`${request.method} ${request.url}`);
      response.writeHead(404).end();
      return;
    }
    this.requests.push({ arrival, install, key });

    const answer = await this.upstream.get(registryPath, request.headers);
    if (answer.status !== 200) this.failures.push(`${key}: status ${answer.status}`);
    const body = key.endsWith('/metadata') ? this.#pointTarballsHere(answer.body, install) : answer.body;
    const headers = { 'content-length': body.length };
    if (answer.type) headers['content-type'] = answer.type;
    if (answer.cacheControl) headers['cache-control'] = answer.cacheControl;
    response.writeHead(answer.status, headers).end(body);
  }

  /** Metadata names its tarballs by full URL: without this npm would fetch them past the proxy. */
  #pointTarballsHere(metadata, install) {
    const text = metadata
      .toString('utf8')
      .replaceAll(`"tarball":"${this.upstream.registry}`, `"tarball":"${this.registryFor(install)}`);
    return Buffer.from(text, 'utf8');
  }
}

// ---------------------------------------------------------------- installs

/** Reads the fixed list; a `lock` must name a set that an earlier group installed without one. */
function readInstalls() {
  const { sets, installs } = JSON.parse(readFileSync(INSTALLS_FILE, 'utf8'));
  const groups = [];
  const locked = new Set();
  for (const [index, install] of installs.entries()) {
    const { group, set, lock } = install;
    if (!sets[set]) throw new Error(`install ${index}: no set ${set}`);
    if (groups.at(-1)?.[0].group !== group) {
      for (const done of groups.at(-1) ?? []) if (!done.lock) locked.add(done.set);
      groups.push([]);
    }
    if (lock && !locked.has(lock)) throw new Error(`install ${index}: no earlier lock of ${lock}`);
    groups.at(-1).push({ ...install, index, packages: sets[set] });
  }
  return groups;
}

/** npm's own settings only: none from this machine's config files or from a running npm script. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
}

/** Runs one install in a fresh folder and resolves to the lockfile it leaves. */
async function runInstall({ index, packages, lockText }, proxy, workDir) {
  const dir = path.join(workDir, `install-${index}`);
  const project = path.join(dir, 'project');
  const lockFile = path.join(project, 'package-lock.json');
  await mkdir(project, { recursive: true });
  await writeFile(
    path.join(project, 'package.json'),
    JSON.stringify({ name: 'tools', version: '1.0.0', private: true, devDependencies: packages }),
  );
  if (lockText) await writeFile(lockFile, lockText);

  await runNpm(
    [
      'install',
      ...['--registry', proxy.registryFor(index)],
      ...['--cache', path.join(dir, 'cache')],
      ...['--userconfig', path.join(dir, 'no-user-config')],
      ...['--globalconfig', path.join(dir, 'no-global-config')],
      ...['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier'],
      ...['--loglevel', 'error'],
    ],
    { cwd: project, env: cleanEnvironment() },
  );
  const written = await readFile(lockFile, 'utf8');
  await rm(dir, { recursive: true, force: true });
  return written;
}

async function record() {
  const groups = readInstalls();
  const workDir = mkdtempSync(path.join(tmpdir(), 'npm-trace-'));
  process.on('exit', () => rmSync(workDir, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

  const upstream = await Upstream.configured();
  const proxy = await LoggingProxy.start(upstream);
  const locks = new Map();

  /** A lockfile names tarballs by URL too: the next install's must carry its own prefix. */
  const lockFor = (install) => {
    const lock = locks.get(install.lock);
    return lock?.text.replaceAll(proxy.registryFor(lock.index), proxy.registryFor(install.index));
  };

  for (const installs of groups) {
    const before = proxy.requests.length;
    const texts = await Promise.all(
      installs.map((install) =>
        runInstall({ ...install, lockText: install.lock && lockFor(install) }, proxy, workDir),
      ),
    );
    installs.forEach(({ index, set, lock }, i) => {
      if (!lock) locks.set(set, { index, text: texts[i] });
    });
    const names = installs.map(({ set, lock }) => (lock ? `${set} (lock ${lock})` : set));
    const seconds = ((performance.now() - proxy.startedAt) / 1000).toFixed(0);
    console.log(`${seconds}s  +${proxy.requests.length - before} requests  ${names.join(', ')}`);
  }

  proxy.server.close();
  upstream.agent.destroy();
  for (const request of new Set(proxy.unlogged)) console.warn(`not logged, neither metadata nor tarball: ${request}`);
  for (const failure of new Set(proxy.failures)) console.warn(`no good answer: ${failure}`);
  writeTrace(proxy.requests);
}

// ---------------------------------------------------------------- the file

function writeTrace(requests) {
  const clients = new Map();
  const lines = requests.map(({ arrival, install, key }) => {
    if (!clients.has(install)) clients.set(install, `c${clients.size}`);
    return `${arrival},${clients.get(install)},${key}`;
  });
  const zipped = gzipSync(`${[HEADER, ...lines].join('\n')}\n`, { level: 9 });
  zipped[9] = 255; // "unknown" system in the gzip header, so that it is the same everywhere
  writeFileSync(TRACE_FILE, zipped);
}

/** Every way in which the text breaks the format, and its rows. */
function validate(text) {
  const problems = [];
  const lines = text.split('\n');
  if (lines.shift() !== HEADER) problems.push(`line 1: header is not "${HEADER}"`);
  if (lines.pop() !== '') problems.push('the last line has no line end');
  if (lines.length < MIN_REQUESTS) problems.push(`fewer than ${MIN_REQUESTS} requests`);
  if (text.includes('://')) problems.push('holds a URL');
  if (/(?<![\d.])\d{1,3}(\.\d{1,3}){3}(?![\d.])/.test(text)) problems.push('holds an address');

  let latest = 0;
  let clientCount = 0;
  const rows = lines.map((line, index) => {
    const match = /^(0|[1-9]\d*),c(0|[1-9]\d*),([^,\s]+)$/.exec(line);
    const at = `line ${index + 2}`;
    if (!match) {
      problems.push(`${at}: not "${HEADER}"`);
      return null;
    }
    const [time, client, key] = [Number(match[1]), Number(match[2]), match[3]];
    if (time < latest) problems.push(`${at}: time runs backwards`);
    if (client > clientCount) problems.push(`${at}: clients are not numbered by first appearance`);
    if (!isCanonicalKey(key)) problems.push(`${at}: key is not canonical`);
    latest = Math.max(latest, time);
    clientCount = Math.max(clientCount, client + 1);
    return { time, client, key };
  });
  return { problems, rows: rows.filter(Boolean) };
}

function quantile(sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))];
}

function summarize(rows) {
  const keys = new Set(rows.map(({ key }) => key));
  const metadata = rows.filter(({ key }) => key.endsWith('/metadata')).length;
  const lastOf = new Map();
  const countOf = new Map();
  const gaps = [];
  for (const { time, client } of rows) {
    if (lastOf.has(client)) gaps.push(time - lastOf.get(client));
    lastOf.set(client, time);
    countOf.set(client, (countOf.get(client) ?? 0) + 1);
  }
  gaps.sort((a, b) => a - b);
  const counts = [...countOf.values()].sort((a, b) => a - b);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const percent = (part) => `${((100 * part) / rows.length).toFixed(1)} %`;
  return {
    requests: rows.length,
    'metadata requests': `${metadata} (${percent(metadata)})`,
    'tarball requests': `${rows.length - metadata} (${percent(rows.length - metadata)})`,
    'unique keys': keys.size,
    'first-seen requests': percent(keys.size),
    clients: counts.length,
    'requests per client': `min ${counts[0]}, median ${quantile(counts, 0.5)}, max ${counts.at(-1)}`,
    duration: `${(rows.at(-1).time / 1000).toFixed(0)} s`,
    'gap within a client':
      `mean ${mean.toFixed(1)} ms, ` +
      [0.5, 0.9, 0.99].map((f) => `p${f * 100} ${quantile(gaps, f)} ms`).join(', ') +
      `, max ${gaps.at(-1)} ms`,
  };
}

function check() {
  const { problems, rows } = validate(gunzipSync(readFileSync(TRACE_FILE)).toString('utf8'));
  if (rows.length > 1) {
    for (const [name, value] of Object.entries(summarize(rows))) console.log(`${name}: ${value}`);
  }
  for (const problem of problems.slice(0, 20)) console.error(problem);
  if (problems.length) console.error(`${problems.length} problems`);
  return problems.length === 0;
}

if (process.argv[2] !== '--check') await record();
process.exitCode = check() ? 0 : 1;
