//! [`Registry`] for [`RedisStore`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use ::redis::Value;
use foremap::control::Member;
use foremap::node::{MAX_LIFE_US, is_alive};
use foremap::partition::NodeId;

use super::functions::call;
use super::keys::{KeyPlace, LEASE, MEMBERS};
use super::open::RedisStore;
use super::reply::{Replies, bytes, number, odd, pairs, time};
use crate::store::{Registry, StoreError, StoreFuture, Term};

/// Microseconds to live.
fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX).min(MAX_LIFE_US)
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

impl RedisStore {
    /// Opens what a gateway of the fleet said of itself; `None` where somebody else wrote it.
    fn opened_member(&self, encoded: &[u8]) -> Result<Option<Member>, StoreError> {
        let Ok(opened) = self.seal.open(MEMBERS, encoded.to_vec()) else { return Ok(None) };
        let member = Member::decode(&opened.content);
        member.map(Some).map_err(|error| StoreError::Corrupt(format!("registration: {error}")))
    }
}

impl Registry for RedisStore {
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut command = call("announce", &[self.meta(MEMBERS)]);
            command.arg(member.id).arg(&member.incarnation.to_be_bytes()).arg(&member.origin);
            command.arg(micros(ttl)).arg(self.seal.close(MEMBERS, member.encode()));
            self.agreed(command).await
        })
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut command = call("retract", &[self.meta(MEMBERS)]);
            command.arg(id).arg(&incarnation.to_be_bytes());
            self.agreed(command).await.map(|_| ())
        })
    }

    fn members(&self) -> StoreFuture<'_, Vec<Member>> {
        Box::pin(async move {
            let mut all = ::redis::cmd("HGETALL");
            all.arg(self.meta(MEMBERS));
            let mut replies = Replies::new(self.look(KeyPlace::Meta, [::redis::cmd("TIME"), all]).await?);
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
        })
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>> {
        Box::pin(async move {
            let mut command = call("lead", &[self.meta(LEASE)]);
            command.arg(&incarnation.to_be_bytes()).arg(micros(ttl));
            match self.change(KeyPlace::Meta, command).await? {
                Value::Nil => Ok(None),
                term => number(&term, "a term").map(Some),
            }
        })
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
