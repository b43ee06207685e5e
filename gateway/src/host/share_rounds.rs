//! The rounds of the shared model: look for a new snapshot; as leader collect, merge, and store what is due.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use foremap::key::KeyPrefix;
use foremap::model::{Handover, ModelKeeper};
use foremap::partition::{MapNode, NodeId, xxh3};
use foremap::protocol::ModelSnapshot;
use futures_util::future::join_all;
use tokio::sync::watch;

use super::Process;
use super::clock::{unix_ms, until_round};
use super::operators::blocking;
use super::sharing::{NotKept, Turn};
use crate::model::{ShareOptions, Stored, compressed};
use crate::store::{Blob, StoreError, Term};

/// Nodes of other processes that are asked at once: what they answer is in memory together.
const ASKED: usize = 64;
/// Most pages that a node hands over in one round: 2 MiB.
const PAGES: usize = 8;
/// Longest wait for the store when the process ends.
const LAST: Duration = Duration::from_secs(3);

/// What a round made, ready to be stored.
#[derive(Default)]
struct Made {
    stored: Option<Stored>,
    model: Vec<u8>,
    state: Option<Vec<u8>>,
    /// Summaries that it is made of.
    merged: u64,
}

impl Process {
    /// Repeats rounds until `stop` becomes true; stores then what was merged last.
    pub(crate) async fn share(self: Arc<Self>, options: ShareOptions, mut stop: watch::Receiver<bool>) {
        self.sharing.begin(options);
        if self.sharing.options().is_none() {
            return;
        }
        let mut is_failing = false;
        loop {
            match self.share_once().await {
                Ok(()) => is_failing = false,
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!(%error, "the shared model is left as it is for now");
                }
                Err(_) => {}
            }
            let wait = until_round();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if tokio::time::timeout(LAST, self.store_last()).await.is_err() {
            tracing::info!("what clients told last is lost");
        }
    }

    /// What this process was told and the leader has not taken; see [`Sharing`](super::Sharing).
    pub(crate) fn page_of_summaries(&self, taken: Option<(u64, u64)>) -> Handover {
        self.sharing.page(self.clock.now(), self.incarnation, taken)
    }

    /// One round.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not tell what it has, or take what is due. Nothing is lost: it is due again.
    pub async fn share_once(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut turn = self.sharing.turn.lock().await;
        self.refresh(&mut turn).await?;
        let Some(term) = self.begin_leading(&mut turn).await? else { return Ok(()) };
        self.collect(&mut turn).await;
        self.keep(&mut turn, term).await.map(|_| ())
    }

    /// Forgets every way over a key below `prefix`, also what gateways still wait to hand over, and stores a snapshot
    /// without them.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not take it: it is due again in the next round.
    pub(crate) async fn forget(self: &Arc<Self>, prefix: KeyPrefix) -> Result<Result<(), NotKept>, StoreError> {
        let mut turn = self.sharing.turn.lock().await;
        if self.term().is_none() {
            return Ok(Err(NotKept::Elsewhere));
        }
        let Some(term) = self.begin_leading(&mut turn).await? else { return Ok(Err(NotKept::Changed)) };
        self.collect(&mut turn).await;
        self.with_keeper(move |keeper| keeper.forget(&prefix)).await;
        let kept = self.keep(&mut turn, term).await?;
        Ok(if kept { Ok(()) } else { Err(NotKept::Changed) })
    }

    /// Serves what the store has, where that is something else.
    async fn refresh(&self, turn: &mut Turn) -> Result<(), StoreError> {
        let head = self.store.blob(Blob::ModelHead).await?;
        if head == turn.head {
            return Ok(());
        }
        let model = match &head {
            Some(_) => self.store.blob(Blob::Model).await?,
            None => None,
        };
        let read = blocking(move || model.map(|bytes| Stored::decode(&bytes))).await.flatten();
        match read {
            Some(Ok(stored)) => self.sharing.serve(Some(stored)),
            None => self.sharing.serve(None),
            Some(Err(error)) => tracing::warn!(%error, "the stored model cannot be read"),
        }
        turn.head = head;
        Ok(())
    }

    /// The term under which this process merges, having begun to where it has not; `None` where another one does.
    async fn begin_leading(self: &Arc<Self>, turn: &mut Turn) -> Result<Option<Term>, StoreError> {
        let term = self.term();
        if term == turn.term {
            return Ok(term);
        }
        (turn.term, turn.taken) = (None, Default::default());
        let Some(term) = term else {
            self.replace_keeper(|| None).await;
            return Ok(None);
        };
        let Some(config) = self.sharing.options().map(ShareOptions::keeper) else { return Ok(None) };
        let state = self.store.blob(Blob::ModelState).await?;
        let served = self.sharing.served();
        let resume = move || {
            let raw = served.map(|served| served.stored.size(2).raw.clone());
            let snapshot = raw.and_then(|raw| ModelSnapshot::decode(&raw).ok());
            let resumed = state.map(|state| ModelKeeper::resume(config.clone(), &state, snapshot.as_ref()));
            match resumed {
                Some(Ok(keeper)) => keeper,
                None => ModelKeeper::new(config),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the merged counts cannot be read; the model begins anew");
                    ModelKeeper::new(config)
                }
            }
        };
        self.replace_keeper(move || Some(resume())).await;
        turn.term = Some(term);
        Ok(Some(term))
    }

    async fn replace_keeper(&self, make: impl FnOnce() -> Option<ModelKeeper> + Send + 'static) {
        let keeper = self.sharing.keeper.clone();
        let stats = blocking(move || {
            let made = make();
            let stats = made.as_ref().map(ModelKeeper::stats);
            *keeper.lock().unwrap_or_else(PoisonError::into_inner) = made;
            stats
        });
        let stats = stats.await.flatten().unwrap_or_default();
        self.sharing.note(|figures| figures.merger = stats);
    }

    /// Does something with what was merged, away from threads that answer requests.
    async fn with_keeper<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ModelKeeper) -> T + Send + 'static,
    ) -> Option<T> {
        let keeper = self.sharing.keeper.clone();
        let done = blocking(move || {
            let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
            let keeper = keeper.as_mut()?;
            let done = work(keeper);
            Some((done, keeper.stats(), keeper.malformed()))
        });
        let (done, stats, malformed) = done.await.flatten()?;
        self.sharing.note(|figures| (figures.merger, figures.malformed) = (stats, malformed));
        Some(done)
    }

    /// Takes over and merges what the processes of the map were told.
    async fn collect(&self, turn: &mut Turn) {
        let mut page = self.page_of_summaries(None);
        for _ in 0..=foremap::model::Outbox::MAX_BYTES / Handover::MAX_BYTES {
            let (next, more) = (page.next(), page.more);
            if page.told.is_empty() || !self.merge(vec![page]).await {
                break;
            }
            page = self.page_of_summaries(Some((self.incarnation, next)));
            if !more {
                break;
            }
        }
        let map = self.map().borrow().clone();
        turn.taken.retain(|&id, _| map.node(id).is_some());
        let others: Vec<&MapNode> = map.nodes.iter().filter(|node| self.node(node.id).is_none()).collect();
        for nodes in others.chunks(ASKED) {
            self.collect_from(turn, nodes.to_vec()).await;
        }
    }

    async fn collect_from(&self, turn: &mut Turn, mut nodes: Vec<&MapNode>) {
        for _ in 0..PAGES {
            let ask = |node| self.peers.take_summaries(node, turn.taken.get(&node.id).copied());
            let answers = join_all(nodes.iter().copied().map(ask)).await;
            let lost = answers.iter().filter(|answer| answer.is_none()).count() as u64;
            self.sharing.note(|figures| figures.lost += lost);
            let pages: Vec<(NodeId, Handover)> =
                nodes.iter().zip(answers).filter_map(|(node, page)| Some((node.id, page?))).collect();
            let taken: Vec<_> = pages.iter().map(|(id, page)| (*id, (page.outbox, page.next()))).collect();
            nodes.retain(|node| pages.iter().any(|(id, page)| *id == node.id && page.more));
            if !self.merge(pages.into_iter().map(|(_, page)| page).collect()).await {
                return;
            }
            turn.taken.extend(taken);
            if nodes.is_empty() {
                return;
            }
        }
    }

    /// Says whether it is done.
    async fn merge(&self, pages: Vec<Handover>) -> bool {
        if pages.iter().all(|page| page.told.is_empty()) {
            return true;
        }
        let now = unix_ms();
        let merged = self.with_keeper(move |keeper| pages.iter().for_each(|page| keeper.merge(now, &page.told)));
        merged.await.is_some()
    }

    /// Makes and stores what is due; says whether the term still held.
    async fn keep(&self, turn: &mut Turn, term: Term) -> Result<bool, StoreError> {
        let made = self.with_keeper(|keeper| {
            let begun = unix_ms();
            let kept = keeper.round(begun, &|bytes| compressed(bytes).len());
            let stored = kept.snapshots.as_deref().and_then(Stored::of);
            if stored.is_some() {
                let now = unix_ms();
                keeper.took(now, now.saturating_sub(begun));
            }
            let model = stored.as_ref().map(Stored::encode).unwrap_or_default();
            Made { stored, model, state: kept.state, merged: keeper.stats().merged }
        });
        let made = made.await.unwrap_or_default();
        let kept = self.put(turn, term, made).await;
        match kept {
            Ok(true) => {}
            Ok(false) => turn.term = None,
            Err(_) => {
                self.with_keeper(ModelKeeper::failed).await;
            }
        }
        kept
    }

    async fn put(&self, turn: &mut Turn, term: Term, made: Made) -> Result<bool, StoreError> {
        if let Some(state) = made.state {
            if !self.store.put_blob(Blob::ModelState, Some(state), term).await? {
                return Ok(false);
            }
            self.sharing.note(|figures| figures.state_saved = made.merged);
        }
        let Some(stored) = made.stored else { return Ok(true) };
        let head = Some(xxh3(0, &made.model).to_le_bytes().to_vec());
        let is_stored = self.store.put_blob(Blob::Model, Some(made.model), term).await?
            && self.store.put_blob(Blob::ModelHead, head.clone(), term).await?;
        if is_stored {
            turn.head = head;
            self.sharing.serve(Some(stored));
            self.sharing.note(|figures| figures.snapshots += 1);
        }
        Ok(is_stored)
    }

    async fn store_last(&self) {
        let turn = self.sharing.turn.lock().await;
        let Some(term) = turn.term else { return };
        let state = self.with_keeper(|keeper| keeper.last(unix_ms())).await.flatten();
        if state.is_some()
            && let Err(error) = self.store.put_blob(Blob::ModelState, state, term).await
        {
            tracing::info!(%error, "what clients told last is lost");
        }
    }
}
