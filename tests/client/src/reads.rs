//! Reads, lists, writes and invalidations of clients.

use std::collections::BTreeSet;

use foremap::adapter::{GetRequest, Own, OwnWrite, Served};
use foremap::cache::Invalidate;
use foremap::key::KeyPrefix;
use foremap::protocol::Consistency;

use super::client::{Client, UnderWay};
use super::gateway::fields;
use super::judge::{Brought, Invariant, Pending, Verdict, demand};
use super::mutant::Mutant;
use super::step::{Ask, Drop, Step};
use super::truth::{Truth, number, shard, tag};
use super::world::{Content, Message, World};

/// Longest time that a list may take.
const LIST_MS: u64 = 10_000;

impl Client {
    /// A list or an own write brought what a key has, in an answer that was asked for at `sent_at`, after so many events.
    pub(crate) fn bring(&mut self, truth: &Truth, key: u8, brought: Brought, sent_at: u64, events: u64) {
        let after = |at: Option<u64>, by: i64| at.is_none_or(|at| brought.as_of >= at as i64 + by);
        let newest = truth.newest_before(key, truth.now + 1) == brought.version;
        let kept = truth.shape.max_entries == usize::MAX && events == self.events;
        if kept && newest && after(self.invalidated_at, 2) && after(self.broke_at, 2) {
            let known = self.judge.brought.get(&key).is_some_and(|known| known.as_of > brought.as_of);
            if !known && self.broke_at.is_none_or(|at| sent_at > at) {
                self.judge.brought.insert(key, brought);
            }
        }
    }
}

impl World {
    pub(crate) fn get(&mut self, truth: &Truth, client: usize, step: &Step) -> Verdict {
        let Step::Get { key, ask, scope, stream, patience_ms, .. } = *step else { return Ok(()) };
        self.tick(truth, client)?;
        let mutant = self.mutant;
        let asked = self.asked(client);
        let this = &mut self.clients[client];
        this.judge.asked = asked;
        let (now, bound) = (this.now, ask.bound());
        let looks = !matches!(ask, Ask::Strong | Ask::Bypassing(_));
        let peeked = if looks {
            let bound = if mutant == Some(Mutant::PeekUnbounded) { u32::MAX } else { bound };
            this.adapter.cached_answer(now, &Self::key(key), bound)
        } else {
            None
        };
        let request = GetRequest {
            scope: scope.into(),
            stream: if stream == 0 { "s0" } else { "s1" },
            max_staleness_ms: bound,
            timeout_ms: patience_ms.into(),
            consistency: match ask {
                Ask::Strong => Consistency::Strong,
                Ask::Any(_) => Consistency::Any,
                _ => Consistency::Bounded,
            },
            bypass_cache: matches!(ask, Ask::Bypassing(_)),
            stale_while_revalidate_ms: if let Ask::Revalidating(_, more) = ask { more } else { 0 },
            stale_if_error_ms: if let Ask::IfError(_, more) = ask { more } else { 0 },
            ..GetRequest::new(Self::key(key))
        };
        let session = &this.judge.session;
        let pending = Pending {
            key,
            ask,
            asked: truth.now,
            deadline: now + u64::from(patience_ms),
            store: session.store,
            seen: session.seen.get(&key).copied().unwrap_or(0),
            wrote: session.wrote.get(&key).copied().unwrap_or(0),
            invalidated: this.judge.invalidated.get(&key).copied().unwrap_or_default(),
            excused: false,
            answers: 0,
        };
        let brought = this.judge.brought.get(&key).copied();
        let newest = truth.newest_before(key, truth.now + 1);
        let brought = brought.filter(|b| looks && newest == b.version && now as i64 - b.as_of <= i64::from(bound));
        let id = this.adapter.handle_request(now, request);
        this.judge.pending.insert(id, pending);
        this.judge.last = None;
        self.drain(truth, client, None)?;
        let breaks = self.clients[client].adapter.stats(now).clock_breaks;
        let judge = &mut self.clients[client].judge;
        if looks {
            judge.ahead.remove(&key);
        }
        let told = judge.last.as_ref().filter(|(request, _)| *request == id).map(|(_, answer)| answer);
        if let Some(brought) = brought {
            self.tally.note("brought");
            let cached = told.is_some_and(|answer| answer.served == Served::Cache);
            demand(cached, Invariant::SeenIsKept, || {
                format!("{brought:?} of {key} at {now}: {told:?}, {step:?}; {breaks} breaks of the clock")
            })?;
        }
        let cached = told.filter(|answer| matches!(answer.served, Served::Cache | Served::Negative));
        let what = |answer: &foremap::adapter::Answer| (answer.keymap.clone(), answer.age_ms, answer.at);
        let same = !looks || peeked.as_ref().map(what) == cached.map(what);
        demand(same, Invariant::PeekTellsWhatGetWould, || format!("{peeked:?}, but {told:?} for {step:?}"))
    }

    /// The keys that `client` is asking gateways for.
    fn asked(&self, client: usize) -> BTreeSet<u8> {
        let generation = self.clients[client].generation;
        let under_way = self.sent.iter().chain(self.answered.iter().map(|(message, _)| message));
        let mine = under_way.filter(|message| message.client == client && message.generation == generation);
        let items = mine.flat_map(|message| match &message.content {
            Content::Batch(request) => &request.items[..],
            Content::List { .. } => &[],
        });
        items.map(|item| number(&item.key)).collect()
    }

    pub(crate) fn list(&mut self, truth: &Truth, client: usize, key: u8, gateway: usize) -> Verdict {
        self.tick(truth, client)?;
        let this = &self.clients[client];
        self.sent.push(Message {
            client,
            generation: this.generation,
            flight: 0,
            gateway,
            sent: truth.now,
            expires: this.now + LIST_MS,
            content: Content::List { key, fence: this.adapter.fence(this.now), events: this.events },
        });
        Ok(())
    }

    pub(crate) fn hint(&mut self, truth: &Truth, client: usize, key: u8) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        this.hinted.insert(key);
        this.adapter.prefetch(this.now, 0, [Self::key(key)], Some(0.9), Some(1_000));
        self.drain(truth, client, None)
    }

    pub(crate) fn cancel(&mut self, truth: &Truth, pick: usize) -> Verdict {
        let client = pick % self.clients.len();
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let waiting = this.judge.pending.len().max(1);
        let Some(&request) = this.judge.pending.keys().nth(pick % waiting) else { return Ok(()) };
        this.excuse();
        this.adapter.handle_cancel(this.now, request);
        self.drain(truth, client, None)?;
        let done = !self.clients[client].judge.pending.contains_key(&request);
        demand(done, Invariant::OneOutcomeInTime, || format!("request {request} was cancelled and waits on"))
    }

    pub(crate) fn close_scope(&mut self, truth: &Truth, client: usize, scope: u32) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        this.excuse();
        this.adapter.handle_scope_end(this.now, scope);
        this.wakes.remove(&scope);
        self.drain(truth, client, None)
    }

    pub(crate) fn invalidate(&mut self, truth: &Truth, client: usize, what: Drop) -> Verdict {
        self.tick(truth, client)?;
        let untold = self.mutant == Some(Mutant::InvalidationsUntold);
        let this = &mut self.clients[client];
        let now = this.now;
        this.events += 1;
        this.invalidated_at = Some(now);
        let prefix = |key: u8| KeyPrefix::parse(&format!("u/{}", key % 2)).unwrap_or_else(|error| panic!("{error}"));
        let what = match what {
            Drop::Key(key) => {
                this.judge.invalidate(truth.now, |other| other == key, false);
                Some(Invalidate::Key(Self::key(key)))
            }
            Drop::Prefix(key) => {
                this.judge.invalidate(truth.now, |other| other % 2 == key % 2, false);
                Some(Invalidate::Prefix(prefix(key)))
            }
            Drop::Tag(key) => {
                this.judge.invalidate(truth.now, |other| tag(other) == tag(key), true);
                Some(Invalidate::Tag(tag(key)))
            }
            Drop::All => {
                this.judge.invalidate(truth.now, |_| true, false);
                Some(Invalidate::All)
            }
            Drop::Clear => {
                this.judge.invalidate(truth.now, |_| true, false);
                None
            }
        };
        match what {
            _ if untold => {}
            Some(what) => _ = this.adapter.invalidate(now, &what),
            None => this.adapter.clear(now),
        }
        self.drain(truth, client, None)
    }

    pub(crate) fn put(&mut self, truth: &Truth, client: usize, (key, deletes, known): (u8, bool, bool)) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let (fence, events) = (this.adapter.fence(this.now), this.events);
        this.puts.insert(truth.put_count, UnderWay { key, deletes, known, fence, events });
        Ok(())
    }

    pub(crate) fn acknowledge(&mut self, truth: &Truth, pick: usize) -> Verdict {
        let committed = truth.writes_of(truth.store()).iter().filter_map(|write| Some((write.put?, *write)));
        let ready: Vec<_> = committed
            .flat_map(|(number, write)| {
                let clients = self.clients.iter().filter(move |client| client.puts.contains_key(&number));
                clients.map(move |client| (client.number, number, write))
            })
            .collect();
        let Some(&(client, put, write)) = ready.get(pick % ready.len().max(1)) else { return Ok(()) };
        self.tick(truth, client)?;
        let late = self.mutant == Some(Mutant::FencesTakenLate);
        let this = &mut self.clients[client];
        let Some(under_way) = this.puts.remove(&put) else { return Ok(()) };
        // What was written to another store than the session's says nothing about it.
        if this.judge.session.store != Some(truth.store()) {
            return Ok(());
        }
        let UnderWay { key, deletes, known, fence, events } = under_way;
        let (version, shard, now) = (write.version, shard(key), this.now);
        let own = match (known, deletes) {
            (false, _) => Own::Unknown,
            (true, true) => Own::Deleted,
            (true, false) => Own::Put(fields(key, version)),
        };
        this.judge.brought.remove(&key);
        if known && !deletes && version >= this.floor(shard) {
            this.bring(truth, key, Brought { as_of: fence.sent_at() as i64, version }, fence.sent_at(), events);
        }
        this.events += 1;
        let wrote = this.judge.session.wrote.entry(key).or_default();
        *wrote = version.max(*wrote);
        this.judge.session.see(key, version);
        if self.mutant == Some(Mutant::WritesUntold) {
            return Ok(());
        }
        let fence = if late { this.adapter.fence(now) } else { fence };
        let write = OwnWrite { key: Self::key(key), version, shard, position: version, own, fence };
        this.adapter.handle_write(now, write);
        self.tally.note("own write");
        self.drain(truth, client, None)
    }
}
