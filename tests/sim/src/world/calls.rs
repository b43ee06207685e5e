//! Those who call: sessions of a client of their own, and users of edge workers.

use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{Attention, GetRequest, RequestId, Scope};
use foremap::cache::Invalidate;
use foremap::key::KeyPrefix;
use foremap::prefetch::Caution;
use foremap::protocol::{Consistency, Cursor, KeymapFields};

use super::world::World;
use crate::check::Read;
use crate::client::{Waiting, Writing};
use crate::cluster::Expect;
use crate::event::Event;
use crate::mutant::Mutant;
use crate::times::LAST_READS;
use crate::write_request::WriteRequest;

impl World {
    pub(super) fn activity(&mut self, session: usize) {
        if !self.is_active() {
            return;
        }
        let pause = if self.rng.chance(5) { self.rng.range(500, 2_500) } else { self.rng.range(5, 160) };
        self.schedule(self.now + pause, Event::Activity { session });
        let (client, scope) = self.enter(session);
        if self.rng.chance(self.profile.writes) {
            self.begin_write(client, scope, session);
        } else {
            self.act(client, scope, session);
        }
        self.leave(client, scope);
    }

    fn act(&mut self, client: usize, scope: Scope, session: usize) {
        match self.rng.below(100) {
            0..=84 => {
                for _ in 0..self.rng.pick(&[1, 1, 1, 2, 4]) {
                    self.read(client, scope, session);
                }
            }
            85..=88 => self.invalidate(client),
            89..=91 => {
                let keys: Vec<_> = (0..3).map(|_| self.keys[self.rng.below(self.keys.len())].clone()).collect();
                let now = self.clients[client].local(self.now);
                self.clients[client].adapter.prefetch(now, scope, keys, None, None);
            }
            92..=93 => self.cancel(client),
            94 => {
                let attention = self.rng.pick(&[Attention::Active, Attention::Active, Attention::Away]);
                let host = &mut self.clients[client];
                let now = host.local(self.now);
                if self.rng.chance(70) {
                    host.adapter.handle_attention(now, attention);
                } else {
                    host.adapter.handle_resume(now);
                }
            }
            95 => {
                let caution = self.rng.pick(&[Caution::Normal, Caution::Normal, Caution::Cautious, Caution::Off]);
                self.clients[client].adapter.set_caution(caution);
            }
            _ => self.peek(client, session),
        }
    }

    /// Every key once more, when all is well: nobody may be stuck.
    pub(super) fn last_reads(&mut self, session: usize) {
        let (client, scope) = self.enter(session);
        for key in 0..self.keys.len().min(5) {
            self.sessions[session].at = key * 5 + session % 5;
            self.begin_read(client, scope, session, Consistency::Bounded, 2_000, 10_000, false);
            self.drain(client);
        }
        self.leave(client, scope);
    }

    /// The client of a session, or a worker with a new scope.
    fn enter(&mut self, session: usize) -> (usize, Scope) {
        if let Some(client) = self.sessions[session].client {
            return (client, 0);
        }
        let workers: Vec<usize> = (0..self.clients.len()).filter(|&at| self.clients[at].is_worker).collect();
        let at = self.rng.pick(&workers);
        let client = &mut self.clients[at];
        client.last_scope += 1;
        let scope = client.last_scope;
        if self.mutant != Some(Mutant::FloorsStripped) {
            let floors = self.sessions[session].floors.iter();
            let floors = floors.map(|(&shard, &position)| Cursor { shard, position });
            client.adapter.raise_scope_token(scope, floors);
        }
        if self.fault(10) {
            // The platform ends a request when its caller hangs up.
            let until = self.now + self.rng.range(0, 400);
            self.schedule(until, Event::CloseScope { client: at, scope });
        }
        (at, scope)
    }

    /// Nothing more is asked in `scope`: a worker's ends as soon as it is idle.
    fn leave(&mut self, client: usize, scope: Scope) {
        let host = &mut self.clients[client];
        if host.is_worker {
            host.scopes.push(scope);
        }
        self.drain(client);
    }

    /// Mostly the key after the one before, so that there is something to predict.
    fn read(&mut self, client: usize, scope: Scope, session: usize) {
        let jump = self.rng.chance(20);
        let count = self.keys.len();
        let at = if jump || self.rng.chance(self.profile.hot) {
            self.any_key()
        } else {
            (self.sessions[session].at + 1) % count
        };
        self.sessions[session].at = at;
        let consistency = match self.rng.below(10) {
            0 => Consistency::Strong,
            1 | 2 => Consistency::Any,
            _ => Consistency::Bounded,
        };
        let max_staleness_ms = self.rng.pick(self.profile.staleness_ms);
        let timeout_ms = self.rng.pick(self.profile.timeouts_ms);
        let bypass = self.rng.chance(self.profile.bypass);
        self.begin_read(client, scope, session, consistency, max_staleness_ms, timeout_ms, bypass);
        self.drain(client);
    }

    #[expect(clippy::too_many_arguments, reason = "a read has that many properties")]
    fn begin_read(
        &mut self,
        client: usize,
        scope: Scope,
        session: usize,
        consistency: Consistency,
        max_staleness_ms: u32,
        timeout_ms: u32,
        bypass_cache: bool,
    ) {
        let key = self.keys[self.sessions[session].at].clone();
        let seen = self.sessions[session].seen.of(&key);
        let (began, invoked) = (self.step, self.time());
        let read = Read { key: key.clone(), consistency, max_staleness_ms, began, invoked, seen };
        let stream = format!("s{session}");
        let (now, host) = (self.now, &mut self.clients[client]);
        let local = host.local(now);
        let request = GetRequest {
            scope,
            stream: &stream,
            consistency,
            max_staleness_ms,
            timeout_ms,
            bypass_cache,
            ..GetRequest::new(key)
        };
        let id = host.adapter.handle_request(local, request);
        let deadline = now + Millis::from(timeout_ms);
        let must_succeed = now >= LAST_READS;
        host.reads.insert(id, Waiting { read: read.clone(), session, scope, deadline, must_succeed });
        self.note(|| format!("client {client}.{scope} asks {id}: {read:?} bypass {bypass_cache}"));
    }

    fn peek(&mut self, client: usize, session: usize) {
        if self.clients[client].is_worker {
            return;
        }
        let key = self.any_key();
        let key = self.keys[key].clone();
        let (now, seen) = (self.now, self.sessions[session].seen.of(&key));
        let local = self.clients[client].local(now);
        let (consistency, max_staleness_ms) = (Consistency::Bounded, 1_000);
        let (began, invoked) = (self.step, self.time());
        let read = Read { key, consistency, max_staleness_ms, began, invoked, seen };
        if let Some(answer) = self.clients[client].adapter.cached_answer(local, &read.key, max_staleness_ms) {
            self.judge(&read, session, &answer);
        }
    }

    /// One write more, when all is well: whatever clocks have shown, it is not refused.
    pub(super) fn last_write(&mut self, session: usize, more: u32) {
        let (client, scope) = self.enter(session);
        self.tally.add("last writes", 1);
        self.put(client, scope, session, Some(more));
        self.leave(client, scope);
    }

    fn begin_write(&mut self, client: usize, scope: Scope, session: usize) {
        self.put(client, scope, session, None);
    }

    fn put(&mut self, client: usize, scope: Scope, session: usize, more: Option<u32>) {
        let key = self.any_key();
        let key = self.keys[key].clone();
        let id = self.fresh_id();
        let padding = if self.rng.chance(6) { 1_500 } else { self.rng.below(40) };
        let locator = format!("v{id}{}", "-".repeat(padding));
        let tags = vec![format!("tag{}", self.rng.below(3))];
        let fields =
            (!self.rng.chance(20) || more.is_some()).then(|| KeymapFields { locator, tags, ..KeymapFields::default() });
        let expect = match self.rng.below(8) {
            _ if more.is_some() => Expect::Any,
            0 => Expect::Version(self.sessions[session].seen.of(&key)),
            1 => Expect::Present,
            _ => Expect::Any,
        };
        let recorded = self.record_write(&key, session as u64, fields.as_ref());
        let host = &mut self.clients[client];
        let now = host.local(self.now);
        let call = host.adapter.call(now, scope, 5_000, Some(key.clone()));
        let request = Arc::new(WriteRequest { id, key, fields, expect });
        let began = self.now;
        host.writes.insert(call, Writing { request, session, scope, told: None, sent: 0, began, recorded, more });
    }

    fn invalidate(&mut self, client: usize) {
        let key = self.any_key();
        let key = self.keys[key].clone();
        let user = KeyPrefix::parse(key.portion(2).trim_end_matches('/')).expect("a valid prefix");
        let what = match self.rng.below(6) {
            0 => Invalidate::All,
            1 => Invalidate::Prefix(user),
            2 => Invalidate::Tag(format!("tag{}", self.rng.below(3))),
            _ => Invalidate::Key(key),
        };
        let host = &mut self.clients[client];
        let now = host.local(self.now);
        host.adapter.invalidate(now, &what);
        self.note(|| format!("client {client} invalidates {what:?}"));
    }

    fn cancel(&mut self, client: usize) {
        let host = &mut self.clients[client];
        let waiting: Vec<RequestId> = host.reads.keys().copied().collect();
        if !waiting.is_empty() {
            let (id, now) = (self.rng.pick(&waiting), host.local(self.now));
            host.adapter.handle_cancel(now, id);
        }
    }
}
