//! [`Registry`] for [`RedbStore`].

use std::time::Duration;

use foremap::control::Member;
use foremap::partition::NodeId;

use super::members::members;
use super::meta::MetaChange;
use super::open::RedbStore;
use crate::store::{Registry, StoreFuture, Term};

impl Registry for RedbStore {
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::Announce { member, ttl }).await?.done()) })
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.change(MetaChange::Retract { id, incarnation }).await.map(|_| ()) })
    }

    fn members(&self) -> StoreFuture<'_, Vec<Member>> {
        let clock = self.clock.clone();
        self.snapshot(move |txn| members(txn, clock()))
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>> {
        Box::pin(async move { Ok(self.change(MetaChange::TakeLease { incarnation, ttl }).await?.term()) })
    }
}
