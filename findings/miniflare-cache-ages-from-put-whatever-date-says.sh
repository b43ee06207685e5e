#!/usr/bin/env bash
# miniflare 4.20260730.0 (and 4.20260426.0), the local runtime of Cloudflare Workers; Node.js 20.20.2; 30 November 2026.
#
# What it does: `caches.default` counts the age of what was `put` from its `Age` and from the moment of `put`, never from its
# `Date`. A response that its origin made 100 s ago, and that may be kept for 60 s, is stored, and `match` hands it out as a
# HIT with `Age: 0` and a `Date` of now: nothing tells any more that it is old. With `Expires` instead of `max-age`, it comes
# with an `Expires` that lies before its `Date`. Where the response says `Age: 100`, it is not stored, as it should be.
#
# Why that surprises: by RFC 9111, section 4.2.3, the age of a response is the greater of its `Age` and of the time since its
# `Date`. Most origins send `Date` and no `Age`. A worker that puts there what it got from another cache, from storage, or
# after waiting, has its lifetime begin again each time, and a test of how old answers may become, run locally, passes or
# fails for a reason of its own. Whoever relays what is dated must turn `Date` into `Age` before `put`.
#
# Output seen:
#   Age: 100, max-age=60                     not stored
#   Age: 50, max-age=60                      HIT, Age 50
#   Date 100 s ago, max-age=60               HIT, Age 0, Date is now
#   Date 100 s ago, Expires 40 s ago         HIT, Age 0, Date is now
set -euo pipefail

expected='Age: 100, max-age=60                     not stored
Age: 50, max-age=60                      HIT, Age 50
Date 100 s ago, max-age=60               HIT, Age 0, Date is now
Date 100 s ago, Expires 40 s ago         HIT, Age 0, Date is now'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund miniflare@4.20260730.0
cat >run.mjs <<'JS'
import { Miniflare } from "miniflare";

const script = `export default {
  async fetch() {
    const ago = (seconds) => new Date(Date.now() - seconds * 1_000).toUTCString();
    const cases = {
      "Age: 100, max-age=60": { age: "100", "cache-control": "max-age=60" },
      "Age: 50, max-age=60": { age: "50", "cache-control": "max-age=60" },
      "Date 100 s ago, max-age=60": { date: ago(100), "cache-control": "max-age=60" },
      "Date 100 s ago, Expires 40 s ago": { date: ago(100), expires: ago(40) },
    };
    const lines = [];
    for (const [name, headers] of Object.entries(cases)) {
      const url = "http://cached.test/" + encodeURIComponent(name);
      await caches.default.put(url, new Response("body", { headers }));
      const found = await caches.default.match(url);
      const told = [found?.headers.get("cf-cache-status"), "Age " + found?.headers.get("age")];
      const since = Date.now() - Date.parse(found?.headers.get("date"));
      if ("date" in headers && found) told.push(since < 50_000 ? "Date is now" : "Date is kept");
      lines.push(name.padEnd(41) + (found ? told.join(", ") : "not stored"));
    }
    return new Response(lines.join("\\n"));
  },
};`;
const runtime = new Miniflare({ modules: true, script, cache: true, compatibilityDate: "2026-04-01" });
console.log(await (await runtime.dispatchFetch("http://worker.test/")).text());
await runtime.dispose();
JS
seen=$(node run.mjs)
echo "$seen"
[ "$seen" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
