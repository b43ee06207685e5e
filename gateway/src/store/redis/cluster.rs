//! [`Cluster`]: sends requests to whoever is master now, and keeps track of who that is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::course::{Course, Next, PlacedRequest, To};
use super::functions;
use super::imports::Imports;
use super::keys::{FENCE, Keyspace};
use super::master::{Master, RequestKind};
use super::master_queue::{Bundle, SlotRequest, SlotResult};
use super::options::Address;
use super::reply::Fault;
use super::routes::{Maker, Routes};
use super::settings_audit::SettingsAudit;
use super::topology::ClusterView;

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
/// Longest time that a request follows what is being moved: most callers have given up after a few of these.
const MOVING: Duration = Duration::from_secs(1);
/// Between two tries of a request whose keys are on their way: a fraction of what moving a slot takes.
const PAUSE: Duration = Duration::from_millis(10);

/// The cluster as one namespace uses it.
pub(super) struct Cluster {
    pub(super) keys: Keyspace,
    maker: Maker,
    seeds: Vec<Address>,
    pub(super) audit: SettingsAudit,
    routes: watch::Sender<Arc<Routes>>,
    groups: watch::Sender<Arc<Vec<Vec<u16>>>>,
    /// All servers of the newest view, and how often one was looked for.
    nodes: Mutex<(Vec<Address>, usize)>,
    imports: Mutex<Imports>,
}

impl Cluster {
    pub(super) fn new(
        keys: Keyspace,
        maker: Maker,
        seeds: Vec<Address>,
        view: &ClusterView,
        audit: SettingsAudit,
    ) -> Self {
        let routes = Routes::new(view, &BTreeSet::new(), &keys, &maker, &Routes::default());
        audit.apply(&routes);
        let groups = watch::Sender::new(Arc::new(routes.groups()));
        let nodes = Mutex::new((view.nodes.clone(), 0));
        Self {
            keys,
            maker,
            seeds,
            audit,
            routes: watch::Sender::new(Arc::new(routes)),
            groups,
            nodes,
            imports: Mutex::default(),
        }
    }

    /// The same cluster with the final names.
    pub(super) fn with_keys(self, keys: Keyspace, view: &ClusterView) -> Self {
        let routes = Routes::new(view, &BTreeSet::new(), &keys, &self.maker, &self.routes());
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

    /// All servers of the newest view.
    pub(super) fn servers(&self) -> Vec<Address> {
        self.nodes.lock().0.clone()
    }

    /// Performs every item, those at one master together. Each fails alone. What certainly was not executed, because
    /// another server is master or the functions are missing, is tried once more; so is a read whose connection broke.
    /// What is on its way to another master is waited for, for [`MOVING`].
    pub(super) async fn run(&self, kind: RequestKind, items: Vec<PlacedRequest>) -> Vec<SlotResult> {
        let mut courses: Vec<Course> = items.into_iter().map(Course::new).collect();
        let mut open: Vec<usize> = (0..courses.len()).collect();
        let deadline = Instant::now() + MOVING;
        loop {
            let outcomes = self.attempt(kind, open.iter().map(|&at| &courses[at])).await;
            let mut next = Vec::with_capacity(open.len());
            for (at, outcome) in open.into_iter().zip(outcomes) {
                let address = self.destination(&courses[at]);
                match courses[at].take(outcome, kind) {
                    Next::End => {}
                    step => next.push((at, step, address)),
                }
            }
            if next.is_empty() || Instant::now() > deadline {
                return courses.into_iter().map(Course::end).collect();
            }
            self.prepare(&next).await;
            open = next.into_iter().map(|(at, ..)| at).collect();
        }
    }

    /// Performs one item.
    pub(super) async fn run_one(&self, kind: RequestKind, item: PlacedRequest) -> SlotResult {
        self.run(kind, vec![item]).await.pop().unwrap_or_else(|| Err(lost()))
    }

    /// The server that `course` is sent to, as far as it is known.
    fn destination(&self, course: &Course) -> Option<Address> {
        match &course.to {
            To::Importer { address, .. } => Some(address.clone()),
            To::Owner => self.routes().of(course.item.place).map(|master| master.address().clone()),
        }
    }

    async fn attempt(&self, kind: RequestKind, courses: impl Iterator<Item = &Course>) -> Vec<SlotResult> {
        let routes = self.routes();
        let mut bundles: BTreeMap<&Address, (&Arc<Master>, Bundle)> = BTreeMap::new();
        let mut waits = Vec::new();
        for course in courses {
            let master = match &course.to {
                To::Owner => routes.of(course.item.place),
                To::Importer { address, .. } => routes.at(address),
            };
            let (reply, answer) = oneshot::channel();
            let fence = self.keys.key(course.item.place, FENCE);
            let request = SlotRequest { commands: course.commands(), asking: course.is_asking(), fence, reply };
            waits.push(master.map(|master| {
                bundles.entry(master.address()).or_insert_with(|| (master, Vec::new())).1.push(request);
                answer
            }));
        }
        join_all(bundles.into_values().map(|(master, bundle)| submit(master, kind, bundle))).await;
        // Answers arrive by themselves, so waiting for them in order loses no time.
        let mut outcomes = Vec::with_capacity(waits.len());
        for wait in waits {
            outcomes.push(match wait {
                Some(answer) => answer.await.unwrap_or_else(|_| Err(lost())),
                None => Err(Fault::Elsewhere("no known master has the slot, or it was torn in a move".into())),
            });
        }
        outcomes
    }

    /// Does what a further try needs.
    async fn prepare(&self, next: &[(usize, Next, Option<Address>)]) {
        let lacking =
            next.iter().filter(|(_, step, _)| *step == Next::Load).filter_map(|(.., address)| address.as_ref());
        for address in lacking.collect::<BTreeSet<&Address>>() {
            // If this fails, so does the further try.
            drop(self.maker.connector.ask(address, &[functions::load()]).await);
        }
        if next.iter().any(|(_, step, _)| *step == Next::Renew) {
            let mut renewed = self.routes.subscribe();
            self.maker.suspicion.notify_one();
            drop(tokio::time::timeout(REPAIR, renewed.changed()).await);
        } else if next.iter().any(|(_, step, _)| *step == Next::Pause) {
            tokio::time::sleep(PAUSE).await;
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

    /// Looks at the topology.
    pub(super) async fn refresh(&self) {
        let asked = self.to_ask();
        let answers =
            join_all(asked.iter().map(|node| tokio::time::timeout(ASK, ClusterView::ask(&self.maker.connector, node))));
        let answers = answers.await.into_iter().map(|answer| answer.ok()?.ok());
        let told: Vec<(&Address, ClusterView)> =
            asked.iter().zip(answers).filter_map(|(node, view)| Some((node, view?))).collect();
        let mut imports = self.imports.lock();
        told.iter().for_each(|(node, view)| imports.note(node, &view.imported));
        let views: Vec<ClusterView> = told.into_iter().map(|(_, view)| view).collect();
        let Some(view) = ClusterView::newest(&views) else { return };
        let torn = imports.torn(&view);
        drop(imports);
        if !torn.is_empty() {
            tracing::error!(
                "the master of slots {torn:?} failed while they were moved to another one, and keys of them are there: \
                 nothing is told of them until `redis-cli --cluster fix` has put them in order"
            );
        }
        let routes = Routes::new(&view, &torn, &self.keys, &self.maker, &self.routes());
        self.audit.apply(&routes);
        let groups = routes.groups();
        self.nodes.lock().0 = view.nodes;
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
        let mut nodes = self.nodes.lock();
        let (known, turn) = &mut *nodes;
        let mut all = known.clone();
        all.extend(self.seeds.iter().cloned());
        all.sort_unstable();
        all.dedup();
        *turn = turn.wrapping_add(ASK_MOST) % all.len().max(1);
        let from = *turn;
        all.rotate_left(from);
        all.truncate(ASK_MOST);
        all.extend(self.imports.lock().servers().cloned());
        all.sort_unstable();
        all.dedup();
        all
    }
}

async fn submit(master: &Master, kind: RequestKind, bundle: Bundle) {
    match master.queue(kind) {
        Ok(queue) => queue.send(bundle).await,
        Err(fault) => bundle.into_iter().for_each(|request| drop(request.reply.send(Err(fault.clone())))),
    }
}

/// A request without an answer: its worker ended with a defect.
fn lost() -> Fault {
    Fault::Uncounted("the request was lost".into())
}
