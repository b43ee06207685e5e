//! The rounds of the Partition Shifter: collect, plan, and put in force.

use std::sync::Arc;

use foremap::node::Node;
use foremap::partition::{MapNode, NodeId, PartitionMap};
use foremap::shifter::{LoadReport, Plan};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::shifting::{NotApplied, OfficeRecord, ShifterMode, round_now};
use super::warm::warm_up_in_time;
use super::{NodeHandle, Process};
use crate::store::{Blob, StoreError, Term};

/// Nodes of other processes that are asked for their load at once.
const ASKED: usize = 256;

impl Process {
    /// Repeats the shifter's rounds until `stop` becomes true.
    pub(crate) async fn shift(self: Arc<Self>, mode: ShifterMode, mut stop: watch::Receiver<bool>) {
        self.shifting.set_mode(mode);
        if mode == ShifterMode::Off {
            return;
        }
        loop {
            let (_, wait) = round_now();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(error) = self.shift_once().await {
                tracing::info!(%error, "a round of the shifter is left out");
            }
        }
    }

    /// The term under which this process coordinates. One with a store of its own always does.
    pub(crate) fn term(&self) -> Option<Term> {
        if !self.store.is_shared() {
            return Some(0);
        }
        Some(self.membership.borrow().term).filter(|&term| term > 0)
    }

    /// One round, where the process coordinates.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not tell what the coordinator before it left, or take a map.
    pub async fn shift_once(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(term) = self.term() else {
            if self.shifting.term().is_some() {
                let process = self.clone();
                blocking(move || process.shifting.end()).await;
            }
            return Ok(());
        };
        let map = self.map().borrow().clone();
        if self.shifting.term() != Some(term) && !self.begin(term, &map).await? {
            return Ok(());
        }
        let reports = self.loads(&map).await;
        let process = self.clone();
        if let Some(next) = blocking(move || process.shifting.round(&map, reports)).await.flatten() {
            self.put_in_force(next).await?;
        }
        Ok(())
    }

    /// Begins to plan under `term`, with the freeze switch as it was left; says whether the term is still in force.
    async fn begin(self: &Arc<Self>, term: Term, map: &Arc<PartitionMap>) -> Result<bool, StoreError> {
        let _record = self.shifting.record.lock().await;
        let Some(OfficeRecord { frozen, .. }) = self.take_office(term).await? else { return Ok(false) };
        let (process, first) = (self.clone(), map.clone());
        blocking(move || process.shifting.begin(term, &first, frozen)).await;
        Ok(true)
    }

    /// Says in the store where the coordinator answers, while the record is locked; `None` where the term is over.
    pub(super) async fn take_office(&self, term: Term) -> Result<Option<OfficeRecord>, StoreError> {
        let mut record = OfficeRecord::read(&self.store).await?;
        record.origin = self.origin().unwrap_or(record.origin);
        Ok(record.write(&self.store, term).await?.then_some(record))
    }

    /// The reports of all nodes of `map`; `None` for each that does not answer.
    async fn loads(&self, map: &PartitionMap) -> Vec<Option<LoadReport>> {
        let (round, _) = round_now();
        let mut reports = Vec::with_capacity(map.nodes.len());
        for nodes in map.nodes.chunks(ASKED) {
            reports.extend(join_all(nodes.iter().map(|node| self.load(node, round))).await);
        }
        reports
    }

    async fn load(&self, node: &MapNode, round: u64) -> Option<LoadReport> {
        match self.node(node.id) {
            Some(own) => Some(self.take_load(own.node(), round)),
            None => self.peers.load(node, round).await,
        }
    }

    /// What `node`, one of this process, served since it was last asked.
    pub(crate) fn take_load(&self, node: &Node, round: u64) -> LoadReport {
        node.take_load(self.clock.now(), self.incarnation, round)
    }

    /// Where this process answers: as it is registered, since it may coordinate before a map names it.
    fn origin(&self) -> Option<String> {
        let map = self.map().borrow().clone();
        let mapped = || self.nodes().find_map(|own| map.node(own.id())).map(|node| node.origin.clone());
        self.registered.get().cloned().or_else(mapped)
    }

    /// Puts what the dry run tells on its way; see [`Shifting::apply`](super::Shifting::apply).
    ///
    /// # Errors
    /// [`NotApplied`].
    pub(crate) async fn apply_plan(
        self: &Arc<Self>,
        seen: Option<foremap::partition::Epoch>,
    ) -> Result<Plan, NotApplied> {
        if self.term().is_none() {
            return Err(NotApplied::Elsewhere);
        }
        let process = self.clone();
        let applied = blocking(move || process.shifting.apply(seen)).await;
        let (plan, next) = applied.unwrap_or(Err(NotApplied::Elsewhere))?;
        if let Some(next) = next
            && let Err(error) = self.put_in_force(next).await
        {
            tracing::warn!(%error, "a plan could not be applied; it is made anew");
        }
        Ok(plan)
    }

    /// Turns the freeze switch, for this coordinator and all after it.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not keep it: then nothing changes.
    pub(crate) async fn freeze(&self, frozen: bool) -> Result<bool, StoreError> {
        let Some(term) = self.term() else { return Ok(false) };
        let _record = self.shifting.record.lock().await;
        let known = OfficeRecord::read(&self.store).await?;
        let origin = self.origin().unwrap_or(known.origin);
        let kept = OfficeRecord { origin, frozen }.write(&self.store, term).await?;
        if kept {
            self.shifting.freeze(frozen);
            // What is proposed may not be wanted any more: taken out at once, as whoever comes into office next would finish
            // it. What is still wanted is proposed again.
            if frozen && let Err(error) = self.store.put_blob(Blob::Proposal, None, term).await {
                tracing::info!(%error, "a proposal is left to the next round");
            }
            self.news.notify_one();
        }
        Ok(kept)
    }

    /// A map that was planned: membership proposes it where there is one; otherwise it is warmed up for and stored here.
    async fn put_in_force(self: &Arc<Self>, next: Arc<PartitionMap>) -> Result<(), StoreError> {
        if self.store.is_shared() {
            self.news.notify_one();
            return Ok(());
        }
        let map = self.map().borrow().clone();
        warm_up_in_time(self, &map, &next).await;
        if !self.shifting.awaits(next.hash()) {
            return Ok(());
        }
        if self.store.put_map(Some(map.epoch), next.clone(), 0).await? {
            self.publish(&next).map_err(|error| StoreError::Corrupt(format!("map: {error}")))?;
            self.membership.send_modify(|stats| stats.flips += 1);
        }
        Ok(())
    }

    /// The node `id` of this process.
    pub(crate) fn node(&self, id: NodeId) -> Option<&Arc<NodeHandle>> {
        self.nodes().find(|node| node.id() == id)
    }
}

/// Planning takes up to some hundred milliseconds for a large fleet: not where requests are answered.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
