//! What concerns the whole namespace: the map, the registry, the coordinator's lease and its blobs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Value};
use foremap::control::Member;
use foremap::node::{MAX_LIFE_US, is_alive};
use foremap::partition::{Epoch, NodeId, PartitionMap};

use super::functions::call;
use super::keys::{LEASE, MAP, MEMBERS, Place};
use super::open::RedisStore;
use super::reply::{Replies, bytes, items, number, odd};
use super::topology::pairs;
use crate::store::{Blob, StoreError, Term};

fn epoch_text(epoch: Epoch) -> String {
    format!("{}.{}", epoch.incarnation, epoch.number)
}

/// Later than any that is given out, and exact in Lua.
const MAX_TERM: Term = 1 << 53;

/// Microseconds to live.
fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX).min(MAX_LIFE_US)
}

impl RedisStore {
    fn meta(&self, name: &str) -> String {
        self.cluster.keys.key(Place::Meta, name)
    }

    fn blob_key(&self, blob: Blob) -> String {
        self.meta(&format!("blob:{}", blob.name()))
    }

    async fn look_one(&self, command: Cmd) -> Result<Value, StoreError> {
        Ok(Replies::new(self.look(Place::Meta, [command]).await?).next())
    }

    async fn agreed(&self, command: Cmd) -> Result<bool, StoreError> {
        Ok(number(&self.change(Place::Meta, command).await?, "an agreement")? == 1)
    }

    pub(super) async fn stored_map(&self) -> Result<Option<Arc<PartitionMap>>, StoreError> {
        self.renew_seals().await?;
        let field = |name: &str| {
            let mut command = ::redis::cmd("HGET");
            command.arg(self.meta(MAP)).arg(name);
            command
        };
        // Every gateway looks once a second, and a map has tens of kilobytes: usually its epoch tells enough.
        let known = self.map.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            let epoch = bytes(self.look_one(field("epoch")).await?, "the epoch of the map")?;
            if epoch.is_some_and(|epoch| epoch == epoch_text(known.epoch).as_bytes()) {
                return Ok(Some(known));
            }
        }
        let Some(bytes) = bytes(self.look_one(field("bytes")).await?, "the map")? else { return Ok(None) };
        let map = Arc::new(self.opened_map(bytes)?);
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Some(map.clone());
        Ok(Some(map))
    }

    pub(super) async fn store_map(
        &self,
        expect: Option<Epoch>,
        map: &PartitionMap,
        term: Term,
    ) -> Result<bool, StoreError> {
        let mut command = call("put_map", &[self.meta(MAP), self.meta(LEASE)]);
        command.arg(expect.map(epoch_text).unwrap_or_default()).arg(term);
        command.arg(epoch_text(map.epoch)).arg(self.seal.close(MAP, map.encode()));
        self.agreed(command).await
    }

    pub(super) async fn register(&self, member: &Member, ttl: Duration) -> Result<bool, StoreError> {
        let mut command = call("announce", &[self.meta(MEMBERS)]);
        command.arg(member.id).arg(&member.incarnation.to_be_bytes()).arg(&member.origin);
        command.arg(micros(ttl)).arg(self.seal.close(MEMBERS, member.encode()));
        self.agreed(command).await
    }

    pub(super) async fn unregister(&self, id: NodeId, incarnation: u64) -> Result<(), StoreError> {
        let mut command = call("retract", &[self.meta(MEMBERS)]);
        command.arg(id).arg(&incarnation.to_be_bytes());
        self.agreed(command).await.map(|_| ())
    }

    pub(super) async fn live_members(&self) -> Result<Vec<Member>, StoreError> {
        let mut all = ::redis::cmd("HGETALL");
        all.arg(self.meta(MEMBERS));
        let mut replies = Replies::new(self.look(Place::Meta, [::redis::cmd("TIME"), all]).await?);
        let now_us = time(replies.next())?;
        let (mut members, mut strangers) = (Vec::new(), 0);
        for (_, registration) in pairs(replies.next())? {
            let registration = bytes(registration, "a registration")?.unwrap_or_default();
            let (expires, encoded) = registered(&registration)?;
            if !is_alive(expires, now_us) {
                continue;
            }
            match self.opened_member(encoded)? {
                Some(member) => members.push(member),
                None => strangers += 1,
            }
        }
        if strangers > 0 && !self.saw_strangers.swap(true, Ordering::Relaxed) {
            tracing::error!(strangers, "registrations in the store are not of this fleet, and do not count");
        }
        members.sort_unstable_by_key(|member| member.id);
        Ok(members)
    }

    pub(super) async fn take_lease(&self, incarnation: u64, ttl: Duration) -> Result<Option<Term>, StoreError> {
        let mut command = call("lead", &[self.meta(LEASE)]);
        command.arg(&incarnation.to_be_bytes()).arg(micros(ttl));
        match self.change(Place::Meta, command).await? {
            Value::Nil => Ok(None),
            term => number(&term, "a term").map(Some),
        }
    }

    pub(super) async fn stored_blob(&self, blob: Blob) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = ::redis::cmd("GET");
        command.arg(self.blob_key(blob));
        let Some(bytes) = bytes(self.look_one(command).await?, "a blob")? else { return Ok(None) };
        Ok(Some(self.seal.open(blob.name(), bytes)?.content))
    }

    pub(super) async fn store_blob(&self, blob: Blob, content: Option<&[u8]>, term: Term) -> Result<bool, StoreError> {
        StoreError::check_blob(content)?;
        let mut command = call("put_blob", &[self.blob_key(blob), self.meta(LEASE)]);
        let sealed = content.map(|content| self.seal.close(blob.name(), content.to_vec()));
        command.arg(term).arg(if sealed.is_some() { "1" } else { "0" }).arg(sealed.unwrap_or_default());
        self.agreed(command).await
    }

    fn opened_map(&self, bytes: Vec<u8>) -> Result<PartitionMap, StoreError> {
        let opened = self.seal.open(MAP, bytes).map_err(|error| match error {
            // The map is a hint: nothing is lost with it.
            StoreError::Corrupt(why) => StoreError::Corrupt(format!("{why} (DEL {} has it made anew)", self.meta(MAP))),
            error => error,
        })?;
        PartitionMap::decode(&opened.content).map_err(|error| StoreError::Corrupt(format!("map: {error}")))
    }

    /// What a gateway of the fleet said of itself; `None` where somebody else wrote it.
    fn opened_member(&self, encoded: &[u8]) -> Result<Option<Member>, StoreError> {
        let Ok(opened) = self.seal.open(MEMBERS, encoded.to_vec()) else { return Ok(None) };
        let member = Member::decode(&opened.content);
        member.map(Some).map_err(|error| StoreError::Corrupt(format!("registration: {error}")))
    }

    /// Once another secret signs, seals with it what the one before had sealed: that one may be gone soon. Whoever is second
    /// finds it done, and what was changed meanwhile is sealed already.
    async fn renew_seals(&self) -> Result<(), StoreError> {
        let mut known = *self.sealed_by.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.seal.is_renewed(&mut known) {
            return Ok(());
        }
        let mut field = ::redis::cmd("HGET");
        field.arg(self.meta(MAP)).arg("bytes");
        if let Some(stored) = bytes(self.look_one(field).await?, "the map")?
            && self.seal.open(MAP, stored.clone()).is_ok_and(|opened| opened.is_old)
        {
            let map = self.opened_map(stored)?;
            // Nobody's term is later, so that this depends on the epoch alone.
            self.store_map(Some(map.epoch), &map, MAX_TERM).await?;
        }
        for blob in Blob::ALL {
            let mut command = ::redis::cmd("GET");
            command.arg(self.blob_key(blob));
            let Some(stored) = bytes(self.look_one(command).await?, "a blob")? else { continue };
            let Ok(opened) = self.seal.open(blob.name(), stored.clone()) else { continue };
            if opened.is_old {
                let mut command = call("reseal", &[self.blob_key(blob)]);
                command.arg(stored).arg(self.seal.close(blob.name(), opened.content));
                self.agreed(command).await?;
            }
        }
        *self.sealed_by.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

/// The answer to TIME, in microseconds since 1970.
pub(super) fn time(value: Value) -> Result<u64, StoreError> {
    let parts = items(value, "the time")?;
    let [seconds, micros] = parts.as_slice() else { return Err(odd("the time")) };
    let seconds = number(seconds, "the time")?.checked_mul(1_000_000).ok_or_else(|| odd("the time"))?;
    seconds.checked_add(number(micros, "the time")?).ok_or_else(|| odd("the time"))
}

/// When a registration expires, and what its gateway encoded and sealed. Its form is described in `functions.lua`.
pub(super) fn registered(bytes: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let read = || {
        let (expires, rest) = bytes.split_first_chunk::<8>()?;
        let (_incarnation, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        Some((u64::from_be_bytes(*expires), rest.get(usize::from(u16::from_be_bytes(*length))..)?))
    };
    read().ok_or_else(|| odd("a registration"))
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
