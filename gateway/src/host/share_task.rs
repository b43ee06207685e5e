//! [`ShareTask`]: the rounds of the shared model. Each looks for a new snapshot; that of the leader collects, merges, and
//! stores what is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foremap::key::KeyPrefix;
use foremap::model::{Handover, MergerStats, ModelKeeper};
use foremap::partition::{MapNode, NodeId, xxh3};
use foremap::protocol::ModelSnapshot;
use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};

use super::Process;
use super::operators::blocking;
use super::process_clock::{unix_ms, until_round};
use super::sharing::{Forget, Forgotten, NotKept};
use crate::model::{ShareOptions, Stored, compressed};
use crate::store::{Blob, StoreError, Term};

/// Nodes of other processes that are asked at once: what they answer is in memory together.
const ASKED: usize = 64;
/// Most pages that a node hands over in one round: 2 MiB.
const PAGES: usize = 8;
/// Longest wait for the store when the process ends.
const LAST: Duration = Duration::from_secs(3);

/// Result of a round, ready to be stored.
#[derive(Default)]
struct RoundResult {
    stored: Option<Stored>,
    model: Vec<u8>,
    state: Option<Vec<u8>>,
    /// Summaries that it is made of.
    merged: u64,
}

/// Repeats rounds for one process. Whatever it is asked to do waits for the end of a round.
pub struct ShareTask {
    process: Arc<Process>,
    forgets: mpsc::Receiver<Forget>,
    /// There is one while the process coordinates; away while a job on a thread of its own has it.
    keeper: Option<Box<ModelKeeper>>,
    /// The term under which it merges.
    term: Option<Term>,
    /// The name of the stored snapshot that it has.
    head: Option<Vec<u8>>,
    /// Which outbox each node has, and how far that is taken. At most one entry for each node of the map.
    taken: BTreeMap<NodeId, (u64, u64)>,
}

impl ShareTask {
    /// For `process`, whose clients share by `options` from now on.
    pub fn new(process: Arc<Process>, options: ShareOptions) -> Self {
        let forgets = process.sharing.begin(options);
        Self { process, forgets, keeper: None, term: None, head: None, taken: BTreeMap::new() }
    }

    /// Repeats rounds until `stop` becomes true; stores then what was merged last.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        if self.process.sharing.options().is_none() {
            return;
        }
        let mut is_failing = false;
        loop {
            match self.round().await {
                Ok(()) => is_failing = false,
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!(%error, "the shared model is left as it is for now");
                }
                Err(_) => {}
            }
            if self.wait(&mut stop).await {
                break;
            }
        }
        if tokio::time::timeout(LAST, self.store_last()).await.is_err() {
            tracing::info!("what clients told last is lost");
        }
    }

    /// Forgets what it is asked to until the next round; says whether there is none, as the process ends.
    async fn wait(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        let wait = tokio::time::sleep(until_round());
        tokio::pin!(wait);
        loop {
            let (prefix, answer) = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return true,
                () = &mut wait => return false,
                Some(forget) = self.forgets.recv() => forget,
            };
            let forgotten = self.forget(prefix).await;
            // Who asked may have gone.
            drop(answer.send(forgotten));
        }
    }

    /// One round.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not tell what it has, or take what is due. Nothing is lost: it is due again.
    async fn round(&mut self) -> Result<(), StoreError> {
        self.refresh().await?;
        let Some(term) = self.begin_leading().await? else { return Ok(()) };
        self.collect().await;
        self.keep(term).await.map(|_| ())
    }

    async fn forget(&mut self, prefix: KeyPrefix) -> Forgotten {
        if self.process.term().is_none() {
            return Ok(Err(NotKept::Elsewhere));
        }
        let Some(term) = self.begin_leading().await? else { return Ok(Err(NotKept::Changed)) };
        self.collect().await;
        self.with_keeper(move |keeper| keeper.forget(&prefix)).await;
        let kept = self.keep(term).await?;
        Ok(if kept { Ok(()) } else { Err(NotKept::Changed) })
    }

    /// Serves what the store has, where that is something else.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let store = &self.process.store;
        let head = store.blob(Blob::ModelHead).await?;
        if head == self.head {
            return Ok(());
        }
        let model = match &head {
            Some(_) => store.blob(Blob::Model).await?,
            None => None,
        };
        let read = blocking(move || model.map(|bytes| Stored::decode(&bytes))).await.flatten();
        match read {
            Some(Ok(stored)) => self.process.sharing.serve(Some(stored)),
            None => self.process.sharing.serve(None),
            Some(Err(error)) => tracing::warn!(%error, "the stored model cannot be read"),
        }
        self.head = head;
        Ok(())
    }

    /// The term under which this process merges, having begun to where it has not; `None` where another one does.
    async fn begin_leading(&mut self) -> Result<Option<Term>, StoreError> {
        let term = self.process.term();
        if term == self.term {
            return Ok(term);
        }
        (self.term, self.taken, self.keeper) = (None, BTreeMap::new(), None);
        self.process.sharing.note(|figures| figures.merger = MergerStats::default());
        let Some(term) = term else { return Ok(None) };
        let Some(config) = self.process.sharing.options().map(ShareOptions::keeper) else { return Ok(None) };
        let state = self.process.store.blob(Blob::ModelState).await?;
        let served = self.process.sharing.served();
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
        self.keeper = blocking(move || Box::new(resume())).await;
        self.with_keeper(|_| ()).await;
        self.term = Some(term);
        Ok(Some(term))
    }

    /// Does something with what was merged, away from threads that answer requests. `None` where nothing is merged here, or
    /// what was is lost to a defect: then it begins again from what is stored.
    async fn with_keeper<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut ModelKeeper) -> T + Send + 'static,
    ) -> Option<T> {
        let mut keeper = self.keeper.take()?;
        let done = blocking(move || {
            let done = work(&mut keeper);
            (done, keeper)
        });
        let Some((done, keeper)) = done.await else {
            self.term = None;
            return None;
        };
        let (stats, malformed) = (keeper.stats(), keeper.malformed());
        self.keeper = Some(keeper);
        self.process.sharing.note(|figures| (figures.merger, figures.malformed) = (stats, malformed));
        Some(done)
    }

    /// Takes over and merges what the processes of the map were told.
    async fn collect(&mut self) {
        let process = self.process.clone();
        let mut page = process.page_of_summaries(None);
        for _ in 0..=foremap::model::Outbox::MAX_BYTES / Handover::MAX_BYTES {
            let (next, more) = (page.next(), page.more);
            if page.told.is_empty() || !self.merge(vec![page]).await {
                break;
            }
            page = process.page_of_summaries(Some((process.incarnation, next)));
            if !more {
                break;
            }
        }
        let map = process.map().borrow().clone();
        self.taken.retain(|&id, _| map.node(id).is_some());
        let others: Vec<&MapNode> = map.nodes.iter().filter(|node| process.node(node.id).is_none()).collect();
        for nodes in others.chunks(ASKED) {
            self.collect_from(nodes.to_vec()).await;
        }
    }

    async fn collect_from(&mut self, mut nodes: Vec<&MapNode>) {
        for _ in 0..PAGES {
            let ask = |node| self.process.peers.take_summaries(node, self.taken.get(&node.id).copied());
            let answers = join_all(nodes.iter().copied().map(ask)).await;
            let lost = answers.iter().filter(|answer| answer.is_none()).count() as u64;
            self.process.sharing.note(|figures| figures.lost += lost);
            let pages: Vec<(NodeId, Handover)> =
                nodes.iter().zip(answers).filter_map(|(node, page)| Some((node.id, page?))).collect();
            let taken: Vec<_> = pages.iter().map(|(id, page)| (*id, (page.outbox, page.next()))).collect();
            nodes.retain(|node| pages.iter().any(|(id, page)| *id == node.id && page.more));
            if !self.merge(pages.into_iter().map(|(_, page)| page).collect()).await {
                return;
            }
            self.taken.extend(taken);
            if nodes.is_empty() {
                return;
            }
        }
    }

    /// Says whether it is done.
    async fn merge(&mut self, pages: Vec<Handover>) -> bool {
        if pages.iter().all(|page| page.told.is_empty()) {
            return true;
        }
        let now = unix_ms();
        let merged = self.with_keeper(move |keeper| pages.iter().for_each(|page| keeper.merge(now, &page.told)));
        merged.await.is_some()
    }

    /// Makes and stores what is due; says whether the term still held.
    async fn keep(&mut self, term: Term) -> Result<bool, StoreError> {
        let made = self.with_keeper(|keeper| {
            let begun = unix_ms();
            let kept = keeper.round(begun, &|bytes| compressed(bytes).len());
            let stored = kept.snapshots.as_deref().and_then(Stored::of);
            if stored.is_some() {
                let now = unix_ms();
                keeper.took(now, now.saturating_sub(begun));
            }
            let model = stored.as_ref().map(Stored::encode).unwrap_or_default();
            RoundResult { stored, model, state: kept.state, merged: keeper.stats().merged }
        });
        let made = made.await.unwrap_or_default();
        let kept = self.put(term, made).await;
        match kept {
            Ok(true) => {}
            Ok(false) => self.term = None,
            Err(_) => {
                self.with_keeper(ModelKeeper::failed).await;
            }
        }
        kept
    }

    async fn put(&mut self, term: Term, made: RoundResult) -> Result<bool, StoreError> {
        if let Some(state) = made.state {
            if !self.process.store.put_blob(Blob::ModelState, Some(state), term).await? {
                return Ok(false);
            }
            self.process.sharing.note(|figures| figures.state_saved = made.merged);
        }
        let Some(stored) = made.stored else { return Ok(true) };
        let head = Some(xxh3(0, &made.model).to_le_bytes().to_vec());
        let store = &self.process.store;
        let is_stored = store.put_blob(Blob::Model, Some(made.model), term).await?
            && store.put_blob(Blob::ModelHead, head.clone(), term).await?;
        if is_stored {
            self.head = head;
            self.process.sharing.serve(Some(stored));
            self.process.sharing.note(|figures| figures.snapshots += 1);
        }
        Ok(is_stored)
    }

    async fn store_last(&mut self) {
        let Some(term) = self.term else { return };
        let state = self.with_keeper(|keeper| keeper.last(unix_ms())).await.flatten();
        if state.is_some()
            && let Err(error) = self.process.store.put_blob(Blob::ModelState, state, term).await
        {
            tracing::info!(%error, "what clients told last is lost");
        }
    }
}

impl Process {
    /// Page of what this process was told and the leader has not taken; see [`Sharing`](super::Sharing).
    pub(crate) fn page_of_summaries(&self, taken: Option<(u64, u64)>) -> Handover {
        self.sharing.inbox.page(self.clock.now(), self.incarnation, taken)
    }
}
