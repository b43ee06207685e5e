import { afterEach, beforeEach, expect, test } from "vitest";
import { groupName } from "../../js/feed/group.js";
import type { Group } from "../../js/feed/member.js";
import { SharedFeed } from "../../js/feed/shared.js";
import type { FeedSink, FeedSource } from "../../js/feed/source.js";
import { FakeLocks } from "../support/locks.js";

let locks: FakeLocks;
let name = 0;
let tabs: Tab[];
beforeEach(() => {
  locks = new FakeLocks();
  name += 1;
  tabs = [];
});
afterEach(() => tabs.forEach((tab) => tab.feed.dispose()));

/** The real feed, as the tab that leads has it open. */
class Gateway implements FeedSource {
  opened: { sink: FeedSink; closed: boolean }[] = [];
  refuse: number | null = null;
  open(_request: Request, sink: FeedSink): () => void {
    const feed = { sink, closed: false };
    this.opened.push(feed);
    if (this.refuse !== null) sink.end(this.refuse, 500);
    return () => (feed.closed = true);
  }
  get live() {
    return this.opened.filter((feed) => !feed.closed);
  }
}

/** A tab with as much of a core as matters: what it heard, and an opening once it heard anything. */
class Tab {
  heard: string[] = [];
  ended: { status: number; retryAfterMs: number }[] = [];
  relaying = false;
  close = () => {};
  readonly feed: SharedFeed;
  /** Frozen tabs get messages later, or never. */
  frozen = false;

  constructor(
    gateway: Gateway,
    group = `group${name}`,
    lockManager = locks.locks,
  ) {
    const channel = (channelName: string) => {
      const channel = new BroadcastChannel(channelName);
      const gate = {
        onmessage: null as ((event: MessageEvent) => void) | null,
        postMessage: (message: unknown) => void (this.frozen || channel.postMessage(message)),
        close: () => channel.close(),
      };
      channel.onmessage = (event) => void (this.frozen || gate.onmessage?.(event as unknown as MessageEvent));
      return gate as unknown as BroadcastChannel;
    };
    const meeting: Group = { name: Promise.resolve(group), locks: lockManager, channel };
    this.feed = new SharedFeed(meeting, gateway, {
      setRelaying: (relaying) => (this.relaying = relaying),
      feedOpening: () => (this.heard.length === 0 ? null : bytes(`opening after ${this.heard.length}`)),
    });
    tabs.push(this);
  }

  open(): this {
    this.close = this.feed.open(new Request("http://gateway/v1/changes"), {
      bytes: (chunk) => {
        this.heard.push(new TextDecoder().decode(chunk));
        if (this.relaying) this.feed.relay(Uint8Array.from(chunk));
      },
      end: (status, retryAfterMs) => this.ended.push({ status, retryAfterMs }),
    });
    return this;
  }

  get role() {
    return this.feed.stats().role;
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);
const until = (condition: () => boolean) => expect.poll(condition, { timeout: 10_000, interval: 5 }).toBe(true);
const live = (gateway: Gateway) => gateway.live.length;

/** One that leads and has heard a frame, and others that follow. */
async function group(gateway: Gateway, followers: number): Promise<[Tab, ...Tab[]]> {
  const leader = new Tab(gateway).open();
  await until(() => leader.role === "leading");
  gateway.live[0]?.sink.bytes(bytes("hello"));
  const rest = Array.from({ length: followers }, () => new Tab(gateway).open());
  await until(() => rest.every((tab) => tab.role === "following"));
  return [leader, ...rest];
}

test("three tabs, one feed: the others begin with an opening and hear every frame in order", async () => {
  const gateway = new Gateway();
  const [leader, second, third] = await group(gateway, 2);
  for (const frame of ["a", "b", "c"]) gateway.live[0]?.sink.bytes(bytes(frame));
  await until(() => third?.heard.length === 4 && second?.heard.length === 4);
  expect(second?.heard).toEqual(["opening after 1", "a", "b", "c"]);
  expect(third?.heard).toEqual(["opening after 1", "a", "b", "c"]);
  expect(leader.heard).toEqual(["hello", "a", "b", "c"]);
  expect(gateway.opened).toHaveLength(1);
});

test("a tab alone passes nothing on", async () => {
  const gateway = new Gateway();
  const [leader] = await group(gateway, 0);
  expect(leader.relaying).toBe(false);
});

test("who joins before the gateway has answered is told to wait, and gets its opening with the first frame", async () => {
  const gateway = new Gateway();
  const leader = new Tab(gateway).open();
  await until(() => leader.role === "leading");
  const follower = new Tab(gateway).open();
  await until(() => leader.feed.stats().waiting === 1);
  gateway.live[0]?.sink.bytes(bytes("hello"));
  await until(() => follower.role === "following");
  expect(follower.heard[0]).toBe("opening after 1");
  expect(leader.feed.stats().waiting).toBe(0);
});

test("an opening made for an earlier join of the same tab is not taken for a later one", async () => {
  const gateway = new Gateway();
  const [, follower] = await group(gateway, 1);
  follower?.close();
  follower?.open();
  const before = follower?.heard.length ?? 0;
  await until(() => follower?.role === "following");
  expect(follower?.heard.slice(before)).toEqual(["opening after 1"]);
});

test("the leader gives up: its lock goes with its feed, and another one leads", async () => {
  const gateway = new Gateway();
  const [leader, second, third] = await group(gateway, 2);
  leader.close();
  await until(() => second?.ended.length === 1 && third?.ended.length === 1);
  expect(second?.ended).toEqual([{ status: 200, retryAfterMs: -1 }]);
  expect(live(gateway)).toBe(0);
  second?.open();
  third?.open();
  await until(() => [second?.role, third?.role].includes("leading"));
  gateway.live[0]?.sink.bytes(bytes("hello again"));
  await until(() => [second?.role, third?.role].includes("following"));
  expect(live(gateway)).toBe(1);
});

test("what broke at the leader has ended for its followers; what was refused is refused to all", async () => {
  const gateway = new Gateway();
  const [leader, follower] = await group(gateway, 1);
  gateway.live[0]?.sink.end(0, -1);
  expect(leader.ended).toEqual([{ status: 0, retryAfterMs: -1 }]);
  await until(() => follower?.ended.length === 1);
  expect(follower?.ended).toEqual([{ status: 200, retryAfterMs: -1 }]);

  const other = new Gateway();
  const [first, second] = [new Tab(other, "refused"), new Tab(other, "refused")];
  first.open();
  await until(() => first.role === "leading");
  second.open();
  await until(() => first.feed.stats().waiting === 1);
  other.live[0]?.sink.end(429, 7_000);
  await until(() => second.ended.length === 1);
  expect(second.ended).toEqual([{ status: 429, retryAfterMs: 7_000 }]);
  expect(other.opened).toHaveLength(1);
});

test("a refusal at once leaves no lock behind", async () => {
  const gateway = new Gateway();
  gateway.refuse = 501;
  const tab = new Tab(gateway).open();
  await until(() => tab.ended.length === 1);
  expect(tab.ended).toEqual([{ status: 501, retryAfterMs: 500 }]);
  await until(() => locks.held.size === 0);
  expect(tab.role).toBe("none");
});

test("a leader that is frozen loses the lock to whoever asks, and is not heard when it wakes", async () => {
  const gateway = new Gateway();
  const [leader, follower] = await group(gateway, 1);
  leader.frozen = true;
  // Its core has heard nothing for too long.
  follower?.close();
  follower?.open();
  await until(() => follower?.role === "leading");
  expect(leader.ended).toEqual([{ status: 200, retryAfterMs: -1 }]);
  gateway.live.at(-1)?.sink.bytes(bytes("new"));
  leader.frozen = false;
  leader.open();
  await until(() => leader.role === "following");
  expect(live(gateway)).toBe(1);
});

test("a leader of an earlier term that believes in itself is passed over", async () => {
  const gateway = new Gateway();
  const [, follower] = await group(gateway, 1);
  const ghost = new BroadcastChannel(`group${name}`);
  const say = (message: object) => ghost.postMessage({ from: "ghost", ...message });
  say({ type: "frame", term: 1, bytes: bytes("old") });
  say({ type: "end", term: 1, status: 200, retryAfterMs: -1 });
  say({ type: "frame", term: 1 });
  say({ type: "frame", term: "x", bytes: "y" });
  say({ type: "opening", term: 2, id: "?", bytes: bytes("old") });
  ghost.postMessage(null);
  gateway.live[0]?.sink.bytes(bytes("frame"));
  await until(() => follower?.heard.at(-1) === "frame");
  expect(follower?.heard).toEqual(["opening after 1", "frame"]);
  expect(follower?.ended).toEqual([]);
  // A newer one ends it for both.
  say({ type: "lead", term: Date.now() + 1_000_000 });
  await until(() => follower?.ended.length === 1 && live(gateway) === 0);
  ghost.close();
});

test("other users, clusters and bounds meet elsewhere", async () => {
  const names = await Promise.all([
    groupName(["https://a", "https://b"], "token", undefined),
    groupName(["https://b", "https://a"], "token", undefined),
    groupName(["https://a", "https://b"], "other", undefined),
    groupName(["https://a", "https://b"], undefined, "token"),
    groupName(["https://a"], "token", undefined),
  ]);
  expect(names[0]).toBe(names[1]);
  expect(new Set(names).size).toBe(4);
  expect(names[0]).not.toContain("token");

  const gateway = new Gateway();
  const [one, other] = [new Tab(gateway, "one").open(), new Tab(gateway, "other").open()];
  await until(() => one.role === "leading" && other.role === "leading");
  expect(live(gateway)).toBe(2);
});

test("where locks are refused a tab has a feed of its own", async () => {
  const gateway = new Gateway();
  const refusing = { request: () => Promise.reject(new DOMException("no", "SecurityError")) };
  const tab = new Tab(gateway, "refusing", refusing as unknown as typeof locks.locks).open();
  await until(() => tab.role === "alone");
  gateway.live[0]?.sink.bytes(bytes("hello"));
  expect(tab.heard).toEqual(["hello"]);
  tab.close();
  expect(live(gateway)).toBe(0);
});

test("whoever closes while it asks is not given anything afterwards", async () => {
  const gateway = new Gateway();
  const tab = new Tab(gateway).open();
  tab.close();
  const next = new Tab(gateway).open();
  await until(() => next.role === "leading");
  expect(tab.role).toBe("none");
  expect(live(gateway)).toBe(1);
});
