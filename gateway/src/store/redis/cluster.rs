//! [`Cluster`]: sends requests to whoever is master now, and keeps track of who that is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::Cmd;
use futures_util::future::join_all;
use tokio::sync::{oneshot, watch};

use super::audit::Audit;
use super::functions;
use super::keys::{FENCE, Keyspace, Place};
use super::lane::{Bundle, Job, Outcome};
use super::master::{Kind, Master};
use super::options::Address;
use super::reply::Fault;
use super::routes::{Maker, Routes};
use super::topology::View;

/// Between two looks at the topology while nothing seems wrong: a new replica counts for the fence this much later.
const REFRESH: Duration = Duration::from_secs(2);
/// Between two looks while something is wrong, at first; doubles up to [`MOST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A failover takes a second or two, so half a second more does no harm; the load is some commands on each server.
const MOST_PAUSE: Duration = Duration::from_millis(500);
/// Longest time that a server is waited for: others know as well.
const ASK: Duration = Duration::from_millis(300);
/// Most servers asked at once.
const ASK_MOST: usize = 8;
/// Longest time that a request waits for a newer topology before it is tried once more.
const REPAIR: Duration = Duration::from_millis(700);

/// A request in one slot.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) commands: Arc<[Cmd]>,
}

impl Item {
    pub(super) fn new(place: Place, commands: impl Into<Arc<[Cmd]>>) -> Self {
        Self { place, commands: commands.into() }
    }
}

/// The cluster as one namespace uses it.
pub(super) struct Cluster {
    pub(super) keys: Keyspace,
    maker: Maker,
    seeds: Vec<Address>,
    pub(super) audit: Audit,
    routes: watch::Sender<Arc<Routes>>,
    groups: watch::Sender<Arc<Vec<Vec<u16>>>>,
    /// All servers of the newest view, and how often one was looked for.
    nodes: Mutex<(Vec<Address>, usize)>,
}

impl Cluster {
    pub(super) fn new(keys: Keyspace, maker: Maker, seeds: Vec<Address>, view: &View, audit: Audit) -> Self {
        let routes = Routes::new(view, &keys, &maker, &Routes::default());
        audit.apply(&routes);
        let groups = watch::Sender::new(Arc::new(routes.groups()));
        let nodes = Mutex::new((view.nodes.clone(), 0));
        Self { keys, maker, seeds, audit, routes: watch::Sender::new(Arc::new(routes)), groups, nodes }
    }

    /// The same cluster with the final names.
    pub(super) fn with_keys(self, keys: Keyspace, view: &View) -> Self {
        let routes = Routes::new(view, &keys, &self.maker, &self.routes());
        self.groups.send_replace(Arc::new(routes.groups()));
        self.routes.send_replace(Arc::new(routes));
        Self { keys, ..self }
    }

    pub(super) fn routes(&self) -> Arc<Routes> {
        self.routes.borrow().clone()
    }

    pub(super) fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.groups.subscribe()
    }

    /// Performs every item, those at one master together. Each fails alone. What certainly was not executed, because
    /// another server is master or the functions are missing, is tried once more; so is a read whose connection broke.
    pub(super) async fn run(&self, kind: Kind, items: Vec<Item>) -> Vec<Outcome> {
        let mut outcomes = self.attempt(kind, &items).await;
        let repeats = |outcome: &Outcome| match outcome {
            Err(Fault::Elsewhere(_) | Fault::NoFunctions) => true,
            Err(Fault::Dropped(_)) => kind != Kind::Write,
            _ => false,
        };
        let again: Vec<usize> = (0..items.len()).filter(|&at| repeats(&outcomes[at])).collect();
        if again.is_empty() {
            return outcomes;
        }
        self.repair(again.iter().map(|&at| (items[at].place, &outcomes[at]))).await;
        let repeated: Vec<Item> = again.iter().map(|&at| items[at].clone()).collect();
        for (at, outcome) in again.into_iter().zip(self.attempt(kind, &repeated).await) {
            outcomes[at] = outcome;
        }
        outcomes
    }

    /// Performs one item.
    pub(super) async fn run_one(&self, kind: Kind, item: Item) -> Outcome {
        self.run(kind, vec![item]).await.pop().unwrap_or_else(|| Err(lost()))
    }

    async fn attempt(&self, kind: Kind, items: &[Item]) -> Vec<Outcome> {
        let routes = self.routes();
        let mut bundles: Vec<Bundle> = routes.masters().iter().map(|_| Vec::new()).collect();
        let waits: Vec<Option<oneshot::Receiver<Outcome>>> = items
            .iter()
            .map(|item| {
                let (reply, answer) = oneshot::channel();
                let fence = self.keys.key(item.place, FENCE);
                bundles[routes.of(item.place)?].push(Job { commands: item.commands.clone(), fence, reply });
                Some(answer)
            })
            .collect();
        let sends = routes.masters().iter().zip(bundles).filter(|(_, bundle)| !bundle.is_empty());
        join_all(sends.map(|(master, bundle)| submit(master, kind, bundle))).await;
        // Answers arrive by themselves, so waiting for them in order loses no time.
        let mut outcomes = Vec::with_capacity(items.len());
        for wait in waits {
            outcomes.push(match wait {
                Some(answer) => answer.await.unwrap_or_else(|_| Err(lost())),
                None => Err(Fault::Elsewhere("no master has the slot".into())),
            });
        }
        outcomes
    }

    /// Does what a second try needs.
    async fn repair(&self, failed: impl Iterator<Item = (Place, &Outcome)>) {
        let (mut bare, mut moved) = (Vec::new(), false);
        for (place, outcome) in failed {
            match outcome {
                Err(Fault::NoFunctions) => bare.extend(self.routes().of(place)),
                Err(Fault::Elsewhere(_)) => moved = true,
                _ => {}
            }
        }
        bare.sort_unstable();
        bare.dedup();
        let routes = self.routes();
        for number in bare {
            // If this fails, so does the second try.
            if let Some(master) = routes.masters().get(number) {
                drop(self.maker.connector.ask(master.address(), &[functions::load()]).await);
            }
        }
        if moved {
            let mut renewed = self.routes.subscribe();
            self.maker.suspicion.notify_one();
            drop(tokio::time::timeout(REPAIR, renewed.changed()).await);
        }
    }

    /// Follows the topology until the store is dropped.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = tokio::time::sleep(REFRESH) => pause = FIRST_PAUSE,
                () = self.maker.suspicion.notified() => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MOST_PAUSE);
                }
            }
            self.refresh().await;
        }
    }

    /// Looks at the settings of all servers until the store is dropped.
    pub(super) async fn watch_settings(self: Arc<Self>) {
        self.audit.watch(&self.maker.connector, self.routes.subscribe()).await;
    }

    async fn refresh(&self) {
        let asked = self.to_ask();
        let answers =
            join_all(asked.iter().map(|node| tokio::time::timeout(ASK, View::ask(&self.maker.connector, node))));
        let views: Vec<View> = answers.await.into_iter().filter_map(|answer| answer.ok()?.ok()).collect();
        let Some(view) = View::newest(&views) else { return };
        let routes = Routes::new(&view, &self.keys, &self.maker, &self.routes());
        self.audit.apply(&routes);
        let groups = routes.groups();
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).0 = view.nodes;
        self.routes.send_replace(Arc::new(routes));
        self.groups.send_if_modified(|before| {
            let changed = **before != groups;
            if changed {
                *before = Arc::new(groups);
            }
            changed
        });
    }

    /// Some servers, others each time.
    fn to_ask(&self) -> Vec<Address> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, turn) = &mut *nodes;
        let mut all = known.clone();
        all.extend(self.seeds.iter().cloned());
        all.sort_unstable();
        all.dedup();
        *turn = turn.wrapping_add(ASK_MOST) % all.len().max(1);
        let from = *turn;
        all.rotate_left(from);
        all.truncate(ASK_MOST);
        all
    }
}

async fn submit(master: &Master, kind: Kind, bundle: Bundle) {
    match master.lane(kind) {
        Ok(lane) => lane.send(bundle).await,
        Err(fault) => bundle.into_iter().for_each(|job| drop(job.reply.send(Err(fault.clone())))),
    }
}

/// A job without an answer: its worker ended with a defect.
fn lost() -> Fault {
    Fault::Uncounted("the request was lost".into())
}
