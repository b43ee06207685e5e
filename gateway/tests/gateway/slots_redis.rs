//! The Redis store while slots move: in every state of a move, what is told is the truth.
//!
//! Needs `redis-server` and `redis-cli`; without them these tests fail and say what to install.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foremap::control::{Member, MemberState};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{MapNode, PartitionMap, StorageLayout};
use foremap::protocol::{Cursor, KeymapFields};
use foremap_gateway::store::{Blob, Expect, RedisOptions, Store, StoreError, Write, WriteOutcome, list};
use foremap_redis_cluster::{AT_ONCE, ClusterOptions, RedisCluster, SlotMove};

use crate::redis::{answered, holder, key, open_bare, options};

/// Names at the namespace that are not of a shard.
const META: &str = "meta";
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

fn put(text: &str, locator: &str) -> Write {
    let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
    Write { key: key(text), fields: Some(fields), expect: Expect::Any, id: None }
}

fn delete(text: &str) -> Write {
    Write { key: key(text), fields: None, expect: Expect::Any, id: None }
}

/// A namespace of one shard, so that all of it is in two slots, and what it holds.
struct Held {
    store: Arc<dyn Store>,
    namespace: String,
    /// Versions of each key, newest first, and whether that is a deletion.
    keys: BTreeMap<String, (Vec<u64>, bool)>,
    member: Member,
    map: Arc<PartitionMap>,
    term: u64,
}

impl Held {
    async fn fill(options: &RedisOptions) -> Self {
        let store: Arc<dyn Store> = Arc::new(open_bare(options).await);
        let member = Member {
            id: 1,
            incarnation: 7,
            origin: "http://a".into(),
            weight: 1,
            state: MemberState::Serving,
            warm_for: 0,
        };
        let node = MapNode { id: 1, origin: "http://a".into(), weight: 1 };
        let map = Arc::new(PartitionMap::new(1, 16, store.layout(), vec![node]));
        assert!(answered(|| store.announce(member.clone(), LONG)).await);
        let term = answered(|| store.take_lease(7, LONG)).await.expect("the lease is free");
        assert!(answered(|| store.put_map(None, map.clone(), term)).await);
        assert!(answered(|| store.put_blob(Blob::Model, Some(vec![1, 2, 3]), term)).await);
        let keys = BTreeMap::new();
        let mut held = Self { store, namespace: options.namespace.clone(), keys, member, map, term };
        // With one version, with several, deleted.
        for (name, writes, is_deleted) in [("a", 1, false), ("a/b", 3, false), ("a/c", 1, false), ("d", 2, true)] {
            for n in 0..writes {
                assert!(held.write(put(name, &n.to_string())).await.is_ok());
            }
            if is_deleted {
                assert!(held.write(delete(name)).await.is_ok());
            }
        }
        held
    }

    /// Writes, and notes what became of it.
    async fn write(&mut self, write: Write) -> Result<(), StoreError> {
        let (name, deletes) = (write.key.as_str().to_owned(), write.fields.is_none());
        match self.store.write(write).await?.value {
            WriteOutcome::Written(written) => {
                let (versions, is_deleted) = self.keys.entry(name).or_default();
                versions.insert(0, written.version);
                *is_deleted = deletes;
                Ok(())
            }
            other => panic!("written, not {other:?}"),
        }
    }

    /// Every read, of whatever kind, tells what is held.
    async fn check(&self, state: &str) {
        let newest = |name: &str| {
            let (versions, is_deleted) = self.keys.get(name)?;
            versions.first().filter(|_| !is_deleted).copied()
        };
        let mut names: Vec<CompositeKey> = self.keys.keys().map(|name| key(name)).collect();
        names.push(key("never"));
        // All at once, as a batch.
        let read = answered(|| async { self.store.read(names.clone()).await.into_iter().collect() }).await;
        let read: Vec<foremap::node::StoreAnswer> = read;
        let last = self.keys.values().filter_map(|(versions, _)| versions.first()).max().copied().unwrap_or(0);
        for (name, answer) in names.iter().zip(read) {
            assert_eq!(answer.value.map(|keymap| keymap.version), newest(name.as_str()), "{state}: {}", name.as_str());
            assert_eq!(answer.position, last, "{state}: {}", name.as_str());
        }
        for (name, (versions, _)) in &self.keys {
            let told = answered(|| self.store.versions(key(name))).await.value;
            assert_eq!(told.iter().map(|record| record.version).collect::<Vec<_>>(), *versions, "{state}: {name}");
        }
        let live: Vec<u64> = self.keys.keys().filter_map(|name| newest(name)).collect();
        let all = KeyPrefix::default();
        let listed = answered(|| list(&*self.store, &all, None, 100)).await;
        assert_eq!(listed.items.iter().map(|item| item.keymap.version).collect::<Vec<_>>(), live, "{state}: the list");
        assert_eq!(answered(|| self.store.positions(vec![0])).await, [last], "{state}");
        let page = answered(|| self.store.poll(vec![Cursor { shard: 0, position: 0 }], 100)).await.remove(0);
        let mut written: Vec<u64> = self.keys.values().flat_map(|(versions, _)| versions.iter().copied()).collect();
        written.sort_unstable();
        assert_eq!(page.changes.iter().map(|change| change.version).collect::<Vec<_>>(), written, "{state}: the log");
        assert_eq!(answered(|| self.store.members()).await, std::slice::from_ref(&self.member), "{state}");
        assert_eq!(answered(|| self.store.map()).await.as_ref(), Some(&self.map), "{state}");
        assert_eq!(answered(|| self.store.blob(Blob::Model)).await, Some(vec![1, 2, 3]), "{state}");
        assert_eq!(answered(|| self.store.blob(Blob::Proposal)).await, None, "{state}: never stored");
        // It leads already, so nothing changes.
        assert_eq!(answered(|| self.store.take_lease(7, LONG)).await, Some(self.term), "{state}");
    }

    /// Every key is told as it is held, or not at all.
    async fn check_reads(&self, state: &str) {
        let names: Vec<CompositeKey> = self.keys.keys().map(|name| key(name)).collect();
        for (name, answer) in names.iter().zip(self.store.read(names.clone()).await) {
            let (versions, is_deleted) = &self.keys[name.as_str()];
            let wanted = versions.first().filter(|_| !is_deleted).copied();
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.value.map(|keymap| keymap.version), wanted, "{state}: {}", name.as_str())
                }
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{state}: {error}"),
            }
        }
        if let Ok(pages) = self.store.poll(vec![Cursor { shard: 0, position: 0 }], 100).await {
            assert_eq!(pages[0].changes.len(), self.keys.values().map(|(versions, _)| versions.len()).sum::<usize>());
        }
        if let Ok(listed) = list(&*self.store, &KeyPrefix::default(), None, 100).await {
            assert_eq!(listed.items.len(), self.keys.values().filter(|(_, is_deleted)| !is_deleted).count(), "{state}");
        }
    }

    /// Every function says what it must say of what is held, or that it cannot tell now. Where one took a key for absent,
    /// it would do what is refused here.
    async fn check_functions(&self, state: &str) {
        fn expect<T: PartialEq + std::fmt::Debug>(told: Result<T, StoreError>, wanted: T, what: &str) {
            let is_late = matches!(told, Err(StoreError::Unavailable(_) | StoreError::Unknown(_)));
            assert!(is_late || told == Ok(wanted), "{what}: {told:?}");
        }
        let current = self.keys["a/b"].0[0];
        let conflict = || WriteOutcome::Conflict { current };
        let stale = Write { expect: Expect::Version(1), ..put("a/b", "stale") };
        let absent = Write { expect: Expect::Version(0), ..put("a/b", "absent") };
        let impostor = Member { incarnation: 8, origin: "http://b".into(), ..self.member.clone() };
        let epoch = Some(self.map.epoch);
        let told = tokio::join!(
            self.store.write(stale),
            self.store.write(absent),
            self.store.remove_version(key("a/b"), current),
            self.store.put_map(None, self.map.clone(), self.term),
            self.store.put_map(epoch, self.map.clone(), self.term - 1),
            self.store.put_blob(Blob::Model, None, self.term - 1),
            self.store.announce(impostor, LONG),
            self.store.take_lease(8, LONG),
            self.store.retract(1, 8),
        );
        let state = |what: &str| format!("{state}: {what}");
        expect(told.0.map(|read| read.value), conflict(), &state("a stale write"));
        expect(told.1.map(|read| read.value), conflict(), &state("a write of what is there"));
        expect(told.2.map(|read| read.value), conflict(), &state("removing the newest version"));
        expect(told.3, false, &state("a first map"));
        expect(told.4, false, &state("a map of a deposed coordinator"));
        expect(told.5, false, &state("a blob of a deposed coordinator"));
        expect(told.6, false, &state("another member"));
        expect(told.7, None, &state("another coordinator"));
        expect(told.8, (), &state("retracting another member"));
    }

    /// A write is performed, or certainly not.
    async fn write_or_not(&mut self, write: Write) -> bool {
        match self.write(write).await {
            Ok(()) => true,
            Err(StoreError::Unavailable(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn one_shard(cluster: &RedisCluster) -> RedisOptions {
    RedisOptions { layout: StorageLayout { shards: 1, depth: 1, fan: 1 }, ..options(cluster) }
}

/// A move of the slot of the names tagged `tag`, to another master.
fn begin<'a>(cluster: &'a RedisCluster, namespace: &str, tag: &str) -> (SlotMove<'a>, Vec<String>) {
    let prefix = format!("{namespace}{{{tag}}}");
    let slot = cluster.slot_of(&prefix).expect("a slot");
    let from = holder(cluster, &prefix);
    let mut names: Vec<String> = cluster.ask(from, &["KEYS", &format!("{prefix}*")]).expect("names");
    names.sort_unstable();
    let to = cluster.shards().expect("answers").into_iter().map(|shard| shard.master).find(|&master| master != from);
    (cluster.begin_move(slot, to.expect("another master")).expect("begun"), names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_state_of_a_move_the_truth_is_told() {
    let cluster = RedisCluster::start(3, 1).expect("a cluster");
    // One order, and the reverse: each key is alone at one side once.
    for is_reverse in [false, true] {
        let mut held = Held::fill(&one_shard(&cluster)).await;
        for tag in ["0", META] {
            let (mut moving, mut names) = begin(&cluster, &held.namespace, tag);
            if is_reverse {
                names.reverse();
            }
            held.check("nothing has moved").await;
            for name in &names {
                moving.take(std::slice::from_ref(name)).expect("moved");
                held.check(&format!("{name} has moved")).await;
                if !is_reverse {
                    held.check_functions(&format!("{name} has moved")).await;
                }
            }
            // All there is has moved, and a key that does not exist is on neither side: this one waits.
            assert!(tag == META || !held.write_or_not(put("new", "1")).await);
            held.check("everything has moved").await;
            moving.finish(AT_ONCE, Duration::ZERO).expect("the slot was given away, and no key is on both sides");
            held.check("the slot has moved").await;
        }
        for name in ["new", "a", "d"] {
            answered(|| async { held.store.positions(vec![0]).await }).await;
            while !held.write_or_not(put(name, "after")).await {}
        }
        held.check("after it all").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_while_a_slot_moves_are_performed_or_certainly_not() {
    let cluster = RedisCluster::start(3, 1).expect("a cluster");
    let mut held = Held::fill(&one_shard(&cluster)).await;
    let (mut moving, names) = begin(&cluster, &held.namespace, "0");
    // All of its names are there, so this is answered while nothing has moved.
    while !held.write_or_not(put("a/b", "before")).await {}
    held.check("nothing has moved").await;
    for (at, name) in names.iter().enumerate() {
        moving.take(std::slice::from_ref(name)).expect("moved");
        // Each waits for a second, in vain.
        if at % 4 == 0 {
            held.write_or_not(put("a/b", "meanwhile")).await;
            held.check(&format!("{name} has moved")).await;
        }
    }
    // All of its names have arrived: the importing master performs it, and its replicas acknowledge.
    while !held.write_or_not(put("a/b", "arrived")).await {}
    while !held.write_or_not(delete("a/b")).await {}
    held.check("everything has moved").await;
    // One that waits is performed as soon as the slot has its new master.
    let waits = held.write_or_not(put("new", "waits"));
    let finishes = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::task::block_in_place(|| moving.finish(AT_ONCE, Duration::ZERO)).expect("moved");
    };
    let (mut done, ()) = tokio::join!(waits, finishes);
    while !done {
        done = held.write_or_not(put("new", "again")).await;
    }
    held.check("the slot has moved").await;
}

/// Redis up to 8.2 promotes a replica that does not know of the move: of the keys that have left it says that there are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_fails_in_the_middle_of_a_move_makes_nothing_false() {
    let cluster = RedisCluster::start(3, 1).expect("a cluster");
    let mut held = Held::fill(&one_shard(&cluster)).await;
    let slot = cluster.slot_of(&format!("{}{{0}}", held.namespace)).expect("a slot");
    let from = cluster.master_of(slot).expect("a master");
    let shards = cluster.shards().expect("answers");
    let replica = shards.iter().find(|shard| shard.master == from).expect("a shard").replicas[0];
    let (mut moving, names) = begin(&cluster, &held.namespace, "0");
    moving.take(&names[..names.len() / 2]).expect("moved");
    held.check("half has moved").await;
    cluster.ask::<String>(replica, &["CLUSTER", "FAILOVER"]).expect("accepted");
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < until {
        held.check_reads("after the failover").await;
        held.check_functions("after the failover").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let role: String = cluster.ask(replica, &["INFO", "replication"]).expect("answers");
    assert!(role.contains("role:master"), "{role}");
    // A gateway that starts now tells nothing false either.
    held.store = Arc::new(open_bare(&RedisOptions { namespace: held.namespace.clone(), ..one_shard(&cluster) }).await);
    for _ in 0..5 {
        held.check_reads("after a restart").await;
    }
    if cluster.moves_slots_atomically().expect("answers") {
        // The new master knows of the move, which goes on. `fix` of a redis-cli for Redis takes the move that replicas tell of
        // for one of their own, and gives the slot away without the keys that had not left.
        let to = moving.to();
        cluster.begin_move(slot, to).expect("begun").finish(AT_ONCE, Duration::ZERO).expect("moved");
    } else {
        // It refuses where servers have not heard of each other's newest state.
        cluster.wait_for("the slot is not put in order", || cluster.fix()).expect("put in order");
    }
    cluster.wait_until_whole().expect("whole");
    held.check("in order").await;
    while !held.write_or_not(put("a/b", "after")).await {}
    while !held.write_or_not(put("new", "after")).await {}
    held.check("in order, and written to").await;
}

/// Nobody has told the gateways of the new master, it has no functions, and no slot in which a fence could be raised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_slot_of_a_new_master_moves_like_any_other() {
    let mut cluster = RedisCluster::start_with(ClusterOptions { replicas: 0, ..ClusterOptions::default() });
    let cluster = cluster.as_mut().expect("a cluster");
    let options = RedisOptions { replicas: 0, ..one_shard(cluster) };
    let mut held = Held::fill(&options).await;
    let new = cluster.add_master().expect("added");
    for tag in ["0", META] {
        let prefix = format!("{}{{{tag}}}", held.namespace);
        let mut moving = cluster.begin_move(cluster.slot_of(&prefix).expect("a slot"), new).expect("begun");
        while moving.some(1).expect("moved") > 0 {
            held.check("some have moved").await;
        }
        if tag == "0" {
            while !held.write_or_not(put("a/b", "arrived")).await {}
        }
        held.check("everything has moved").await;
        moving.finish(AT_ONCE, Duration::ZERO).expect("moved");
        held.check("the slot has moved").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_as_a_whole_is_followed() {
    let cluster = RedisCluster::start(3, 1).expect("a cluster");
    if !cluster.moves_slots_atomically().expect("answers") {
        // What other engines say to it.
        let refused = cluster.ask::<String>(0, &["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "0", "NODE", "x"]);
        assert!(refused.is_err());
        return;
    }
    let mut held = Held::fill(&one_shard(&cluster)).await;
    for (round, tag) in ["0", META, "0"].into_iter().enumerate() {
        let prefix = format!("{}{{{tag}}}", held.namespace);
        let slot = cluster.slot_of(&prefix).expect("a slot");
        let from = holder(&cluster, &prefix);
        let masters = cluster.shards().expect("answers").into_iter().map(|shard| shard.master);
        let to = masters.into_iter().find(|&master| master != from).expect("another master");
        let moves = async { tokio::task::block_in_place(|| cluster.move_atomically(&[slot], to)).expect("moved") };
        let writes = async {
            let mut versions = Vec::new();
            for n in 0..50 {
                let written = answered(|| held.store.write(put("a/b", &n.to_string()))).await.value;
                let WriteOutcome::Written(written) = written else { panic!("written, not {written:?}") };
                versions.push(written.version);
            }
            versions
        };
        let (versions, ()) = tokio::join!(writes, moves);
        // One of unknown outcome that was tried again is there twice: only the last is certain to be the newest.
        let told = answered(|| held.store.versions(key("a/b"))).await.value;
        let told: Vec<u64> = told.iter().map(|record| record.version).collect();
        let kept = versions.iter().rev().take(40);
        assert!(kept.clone().all(|version| told.contains(version)), "round {round}: {versions:?} {told:?}");
        assert_eq!(told.first(), versions.last(), "round {round}");
        // From here on exactly what is there.
        held.keys.insert("a/b".into(), (told, false));
    }
    while !held.write_or_not(put("new", "after")).await {}
    let newest = answered(|| held.store.read(vec![key("a/b"), key("new")]).map_all()).await;
    assert_eq!(newest, [held.keys["a/b"].0.first().copied(), held.keys["new"].0.first().copied()]);
}

/// The versions of all answers, or the first error.
trait MapAll {
    async fn map_all(self) -> Result<Vec<Option<u64>>, StoreError>;
}

impl MapAll for foremap_gateway::store::StoreFutures<'_, foremap::node::StoreAnswer> {
    async fn map_all(self) -> Result<Vec<Option<u64>>, StoreError> {
        self.await.into_iter().map(|answer| Ok(answer?.value.map(|keymap| keymap.version))).collect()
    }
}
