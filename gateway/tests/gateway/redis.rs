//! The Redis store over a real cluster: conformance, start-up checks, and masters and replicas that fail.
//!
//! Needs `redis-server` and `redis-cli`; without them these tests fail and say what to install.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use foremap::control::{Member, MemberState};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::StorageLayout;
use foremap::protocol::{Cursor, KeymapFields, MAX_VERSION};
use foremap_gateway::store::{
    ChangeLog, Expect, Lifecycle, ListRange, MasterStatus, OpenError, Promise, RedisOptions, RedisStore, Registry,
    Store, StoreError, StoreStatus, Values, Write, WriteOutcome,
};
use foremap_redis_cluster::RedisCluster;
use parking_lot::Mutex;

use crate::patient::Patient;
use crate::store_suite::{LOG_ENTRIES, VERSIONS, conformance};

/// The cluster of the tests that break nothing: started by the first, ended by the last.
pub(crate) fn shared() -> Arc<RedisCluster> {
    static SHARED: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(RedisCluster::start(3, 1).expect("a cluster"));
    *shared = Arc::downgrade(&cluster);
    cluster
}

pub(crate) fn options(cluster: &RedisCluster) -> RedisOptions {
    static NAMESPACES: AtomicU64 = AtomicU64::new(0);
    let mut options = RedisOptions::from_url(&format!("redis://{}", cluster.addresses().join(","))).expect("a URL");
    options.namespace = format!("test-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
    options
}

/// As tests open it whose subject is not when an answer is told.
pub(crate) async fn open(options: &RedisOptions) -> Patient<RedisStore> {
    Patient::new(open_bare(options).await)
}

pub(crate) async fn open_bare(options: &RedisOptions) -> RedisStore {
    RedisStore::open(options).await.expect("opened")
}

async fn open_error(options: &RedisOptions) -> OpenError {
    match RedisStore::open(options).await {
        Ok(_) => panic!("{options:?} must not open"),
        Err(error) => error,
    }
}

pub(crate) fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn put(text: &str) -> Write {
    let fields = KeymapFields { locator: "here".into(), ..KeymapFields::default() };
    Write { key: key(text), fields: Some(fields), expect: Expect::Any, id: None }
}

async fn write(store: &impl Store, text: &str) -> Result<u64, StoreError> {
    match store.write(put(text)).await?.value {
        WriteOutcome::Written(written) => Ok(written.version),
        other => panic!("written, not {other:?}"),
    }
}

async fn read(store: &impl Store, text: &str) -> Result<Option<u64>, StoreError> {
    Ok(store.read(vec![key(text)]).await.remove(0)?.value.map(|keymap| keymap.version))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_conforms() {
    let cluster = shared();
    conformance(|| {
        let options = RedisOptions { versions: VERSIONS, log_entries: LOG_ENTRIES, ..options(&cluster) };
        let opened = async { RedisStore::open(&options).await.expect("opened") };
        Arc::new(Patient::new(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(opened))))
    })
    .await;
}

#[tokio::test]
async fn a_namespace_keeps_its_layout_and_its_keys() {
    let cluster = shared();
    let layout = StorageLayout { shards: 8, depth: 1, fan: 2 };
    let options = RedisOptions { layout, ..options(&cluster) };
    let store = open(&options).await;
    let version = write(&store, "a/b").await.expect("written");
    let again = open(&RedisOptions { layout: StorageLayout::default(), ..options.clone() }).await;
    assert_eq!(again.layout(), layout);
    assert_eq!(read(&again, "a/b").await, Ok(Some(version)));
    assert_eq!(again.groups().borrow().concat().len(), 8);
    // Another gateway may keep fewer versions.
    let few = open(&RedisOptions { versions: 2, ..options.clone() }).await;
    let none = open(&RedisOptions { versions: 1, ..options.clone() }).await;
    for (store, kept) in [(&store, 2), (&store, 3), (&store, 4), (&few, 2), (&none, 1), (&none, 1), (&few, 2)] {
        write(store, "a/b").await.expect("written");
        assert_eq!(store.versions(key("a/b")).await.expect("works").value.len(), kept);
    }
    let other = open(&RedisOptions { namespace: options.namespace + "x", ..options }).await;
    assert_eq!(read(&other, "a/b").await, Ok(None));
}

/// The server that has the key called `name`.
pub(crate) fn holder(cluster: &RedisCluster, name: &str) -> usize {
    let slot: u16 = cluster.ask(0, &["CLUSTER", "KEYSLOT", name]).expect("a slot");
    cluster.master_of(slot).expect("a master")
}

#[tokio::test]
async fn versions_follow_the_clock_of_the_master_and_survive_its_being_slow() {
    let cluster = shared();
    let options = RedisOptions { layout: StorageLayout { shards: 1, depth: 1, fan: 1 }, ..options(&cluster) };
    let store = open(&options).await;
    let first = write(&store, "a/b").await.expect("written");
    let state = format!("{}{{0}}state", options.namespace);
    let set = |last: u64| {
        let master = holder(&cluster, &state);
        cluster.ask::<i64>(master, &["HSET", &state, "last", &last.to_string()]).expect("set");
    };
    // As if its clock, or that of a master that was deposed, had been half a minute or ten years fast for one write.
    const YEARS: u64 = 10 * 365 * 86_400_000_000;
    for ahead in [30_000_000, YEARS] {
        set(first + ahead);
        assert_eq!(write(&store, "a/b").await, Ok(first + ahead + 1));
        assert_eq!(write(&store, "a/b").await, Ok(first + ahead + 2));
    }
    set(MAX_VERSION - 1);
    assert_eq!(write(&store, "a/b").await, Ok(MAX_VERSION));
    assert_eq!(write(&store, "a/b").await, Err(StoreError::UsedUp));
    assert_eq!(store.versions(key("a/b")).await.expect("works").value.len(), 6);
}

/// The server itself refuses, as its clock may have been set since clocks were compared.
#[tokio::test]
async fn a_master_does_not_write_by_a_clock_that_is_later_than_it_can_be() {
    let cluster = shared();
    let options = RedisOptions { layout: StorageLayout { shards: 1, depth: 1, fan: 1 }, ..options(&cluster) };
    let store = open(&options).await;
    let first = write(&store, "a/b").await.expect("written");
    let name = |name: &str| format!("{}{{0}}{name}", options.namespace);
    let names = ["/a/b", "older/a/b", "index", "log", "state"].map(name);
    let call = |latest: &str| {
        let mut words = vec!["FCALL", "foremap_1_write", "5"];
        words.extend(names.iter().map(String::as_str));
        // A body of a length byte: no write id.
        words.extend(["a/b", "", "", "1", "\0", "5", "20", latest]);
        cluster.ask::<Vec<u64>>(holder(&cluster, &names[0]), &words).expect("answered")
    };
    // As if the master were ahead by all the time since it wrote.
    let refused = call(&first.to_string());
    assert!(refused[0] == 3 && refused[1] > 0 && refused[3] == first, "{refused:?}");
    assert_eq!(read(&store, "a/b").await, Ok(Some(first)), "nothing is written");
    assert_eq!(call(&MAX_VERSION.to_string())[0], 0);
    assert_eq!(read(&store, "a/b").await, Ok(None), "deleted");
}

#[tokio::test]
async fn a_machine_whose_clock_is_ahead_of_the_servers_does_not_write_and_says_so() {
    let cluster = shared();
    let ahead = Arc::new(AtomicU64::new(300_000_000));
    let (plain, set) = (options(&cluster), ahead.clone());
    let clock = plain.clock.clone();
    let options = RedisOptions { clock: Arc::new(move || clock() + set.load(Ordering::SeqCst)), ..plain };
    let store = open_bare(&options).await;
    let refused = write(&store, "a/b").await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("this machine")), "{refused:?}");
    assert_eq!(read(&store, "a/b").await, Ok(None), "it reads");
    let troubles = store.troubles();
    assert!(troubles.len() == 1 && troubles[0].is_whole, "{troubles:?}");
    assert_eq!(store.clocks().len(), 7, "six servers, and this machine");
    ahead.store(0, Ordering::SeqCst);
    let version = loop {
        match write(&store, "a/b").await {
            Ok(version) => break version,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(read(&store, "a/b").await, Ok(Some(version)), "it heals by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_fail_and_nothing_false_is_told() {
    let mut cluster = RedisCluster::start(3, 1).expect("a cluster");
    what_is_not_set_up_well_is_refused(&cluster).await;
    lost_functions_are_loaded_again_and_damage_is_told(&cluster).await;
    let options = options(&cluster);
    let store = open_bare(&options).await;
    let keys = Keys::find(&store);
    a_server_that_breaks_a_rule_stops_the_writes_of_its_shards(&cluster, &store, &keys).await;
    nobody_stands_in_for_a_replica_of_the_cluster(&mut cluster, &store, &keys).await;
    a_full_master_is_read(&cluster, &store, &keys).await;
    without_its_replica_a_master_tells_nothing(&mut cluster, &store, &keys).await;
    a_silent_master_does_not_touch_the_others(&mut cluster, &store, &keys).await;
    a_master_that_was_a_replica_has_another_history(&cluster, &store, &keys).await;
    acknowledged_writes_survive_a_failover(&mut cluster, &store, &keys).await;
}

async fn lost_functions_are_loaded_again_and_damage_is_told(cluster: &RedisCluster) {
    let options = RedisOptions { layout: StorageLayout { shards: 1, depth: 1, fan: 1 }, ..options(cluster) };
    let store = open(&options).await;
    let name = format!("{}{{0}}/a/b", options.namespace);
    let master = holder(cluster, &name);
    // As on a master that was added later.
    cluster.ask::<String>(master, &["FUNCTION", "FLUSH"]).expect("flushed");
    write(&store, "a/b").await.expect("written");
    cluster.ask::<String>(master, &["SET", &name, "nonsense"]).expect("set");
    let damaged = read(&store, "a/b").await;
    assert!(matches!(damaged, Err(StoreError::Corrupt(_))), "{damaged:?}");
    assert_eq!(read(&store, "a/c").await, Ok(None), "other keys are fine");
    let log = format!("{}{{0}}log", options.namespace);
    cluster.ask::<String>(master, &["XADD", &log, "9000000000000000-0", "what", "is this"]).expect("added");
    cluster
        .ask::<i64>(master, &["HSET", &format!("{}{{0}}state", options.namespace), "last", "9000000000000000"])
        .expect("set");
    let damaged = store.poll(vec![Cursor { shard: 0, position: 0 }], 10).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt(_))), "{damaged:?}");
}

/// Settings, with a value that will not do and one that will.
const RULES: [(&str, &str, &str); 3] = [
    ("appendonly", "no", "yes"),
    ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ("cluster-require-full-coverage", "yes", "no"),
];

async fn what_is_not_set_up_well_is_refused(cluster: &RedisCluster) {
    let good = options(cluster);
    let shard = cluster.shards().expect("answers").remove(0);
    for (server, role) in [(shard.master, "master"), (shard.replicas[0], "replica")] {
        let named = format!("{role} {}", cluster.addresses()[server]);
        for (name, bad, fine) in RULES {
            let set = |value| cluster.ask::<String>(server, &["CONFIG", "SET", name, value]).expect("set");
            set(bad);
            let error = open_error(&good).await;
            set(fine);
            let line = error.to_string();
            let says = line.contains(&named) && line.contains(&format!("set {name} {fine}"));
            assert!(matches!(error, OpenError::Unfit(_)) && says, "{line}");
        }
    }
    let error = open_error(&RedisOptions { replicas: 2, ..good.clone() }).await.to_string();
    assert!(error.contains("1 connected replicas, the cluster lists 1, and 2 must acknowledge"), "{error}");
    let error = open_error(&RedisOptions { password: Some("wrong".into()), ..good.clone() }).await;
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
    let error = open_error(&RedisOptions { nodes: vec!["127.0.0.1:1".into()], ..good.clone() }).await;
    assert!(matches!(error, OpenError::Unreachable(_)), "{error}");
    let format = format!("{}{{meta}}format", good.namespace);
    cluster.ask::<String>(holder(cluster, &format), &["SET", &format, "nonsense"]).expect("set");
    let error = open_error(&good).await;
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

/// Keys, with shards of the master that will fail and of others.
struct Keys {
    /// Shards of one group.
    group: Vec<u16>,
    failing: Vec<String>,
    others: Vec<String>,
}

impl Keys {
    /// The group of shard 0, which has the slot 0 part of the cluster.
    fn find(store: &RedisStore) -> Self {
        let groups = store.groups().borrow().clone();
        assert_eq!(groups.len(), 3);
        let group = groups.iter().find(|group| group.contains(&0)).expect("a group").clone();
        let all = (0..90).map(|n| format!("k{n}/x"));
        let (failing, others) = all.partition(|text: &String| group.contains(&store.layout().shard(&key(text))));
        Self { group, failing, others }
    }

    fn poll(&self) -> Vec<Cursor> {
        self.group.iter().map(|&shard| Cursor { shard, position: 0 }).collect()
    }
}

/// The one that has slot 0.
fn failing_master(cluster: &RedisCluster) -> foremap_redis_cluster::Shard {
    cluster.shards().expect("answers").into_iter().find(|shard| shard.has(0)).expect("a master")
}

fn status(store: &RedisStore, address: &str) -> MasterStatus {
    store.masters().into_iter().find(|master| master.address == address).expect("a known master")
}

/// Asks until it is answered: on a loaded machine a server that lives may be late now and then, too.
pub(crate) async fn answered<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let error = match ask().await {
            Ok(told) => return told,
            Err(error) => error,
        };
        let is_late = matches!(error, StoreError::Unavailable(_) | StoreError::Unknown(_));
        assert!(is_late && std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn all_answer(store: &RedisStore, keys: &[String]) {
    for text in keys {
        let version = answered(|| write(store, text)).await;
        assert_eq!(answered(|| read(store, text)).await, Some(version));
    }
}

/// Asks for the failing keys `times` times; none may be answered. Then the breaker is open: all but a few of the
/// requests were refused at once.
async fn refused(store: &RedisStore, keys: &Keys, address: &str, times: usize) {
    // Until the breaker has seen it: none is answered.
    for _ in 0..3 {
        let told = write(store, &keys.failing[0]).await;
        assert!(matches!(told, Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{told:?}");
        assert!(matches!(read(store, &keys.failing[0]).await, Err(StoreError::Unavailable(_))));
        assert!(store.poll(keys.poll(), 10).await.is_err());
        assert!(store.positions(keys.group.clone()).await.is_err());
    }
    let before = status(store, address);
    assert!(before.failures >= 2);
    for at in 0..times {
        let text = &keys.failing[at % keys.failing.len()];
        assert!(matches!(read(store, text).await, Err(StoreError::Unavailable(_))));
    }
    let after = status(store, address);
    let attempts = (after.attempts - before.attempts) as usize;
    assert!(attempts <= times / 4, "{attempts} attempts for {times} requests");
}

/// Waits until `done` holds.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !done().await {
        assert!(std::time::Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Writes until that is refused for `why`; it must not happen meanwhile.
async fn refused_for(store: &RedisStore, text: &str, why: &str) {
    until(why, async || match write(store, text).await {
        Ok(version) => panic!("written as {version}, not refused for {why}"),
        Err(StoreError::Unavailable(told)) => told.contains(why),
        Err(_) => false,
    })
    .await;
}

/// An operator changes a setting at run time, on a replica or on the master.
async fn a_server_that_breaks_a_rule_stops_the_writes_of_its_shards(
    cluster: &RedisCluster,
    store: &RedisStore,
    keys: &Keys,
) {
    all_answer(store, &keys.failing).await;
    let (shard, addresses) = (failing_master(cluster), cluster.addresses());
    let unfit = || status(store, &addresses[shard.master]).unfit;
    for (server, rules) in [(shard.replicas[0], &RULES[..]), (shard.master, &RULES[..1])] {
        for &(name, bad, fine) in rules {
            cluster.ask::<String>(server, &["CONFIG", "SET", name, bad]).expect("set");
            until("a broken rule is noticed", async || unfit().is_some()).await;
            let why = unfit().expect("unfit");
            assert!(why.contains(&addresses[server]) && why.contains(&format!("set {name} {fine}")), "{why}");
            // Nothing is written, and the key reads as before.
            let before = answered(|| read(store, &keys.failing[0])).await;
            refused_for(store, &keys.failing[0], name).await;
            assert_eq!(answered(|| read(store, &keys.failing[0])).await, before);
            answered(|| write(store, &keys.others[0])).await;
            cluster.ask::<String>(server, &["CONFIG", "SET", name, fine]).expect("set");
            until("it heals by itself", async || unfit().is_none()).await;
            answered(|| write(store, &keys.failing[0])).await;
        }
    }
    assert_eq!(store.promise(), Promise::Replicated, "this cluster syncs once a second");
    let set =
        |value| (0..6).for_each(|server| drop(cluster.ask::<String>(server, &["CONFIG", "SET", "appendfsync", value])));
    set("always");
    until("the promise is durable", async || store.promise() == Promise::Durable).await;
    assert!(store.masters().iter().all(|master| master.is_durable));
    set("everysec");
    until("the promise is replicated", async || store.promise() == Promise::Replicated).await;
}

/// A backup replicates from the master while the replica of the cluster is cut off.
async fn nobody_stands_in_for_a_replica_of_the_cluster(cluster: &mut RedisCluster, store: &RedisStore, keys: &Keys) {
    all_answer(store, &keys.failing).await;
    let (shard, addresses) = (failing_master(cluster), cluster.addresses());
    let outside = cluster.start_outside(shard.master).expect("a server that is not of the cluster");
    let attached = |cluster: &RedisCluster, count: usize| {
        let info: String = cluster.ask(shard.master, &["INFO", "replication"]).expect("answers");
        info.matches("state=online").count() == count
    };
    let now = || status(store, &addresses[shard.master]);
    until("it is seen", async || {
        answered(|| read(store, &keys.failing[0])).await;
        now().outside == 1
    })
    .await;
    all_answer(store, &keys.failing).await;
    cluster.pause(shard.replicas[0]).expect("paused");
    // Cut off as well, so that as many are attached as there must be: the other one comes back.
    cluster.ask::<i64>(shard.master, &["CLIENT", "KILL", "TYPE", "replica"]).expect("cut off");
    until("the other one is back", async || attached(cluster, 1)).await;
    for text in &keys.failing {
        let told = write(store, text).await;
        assert!(matches!(told, Err(StoreError::Unknown(_) | StoreError::Unavailable(_))), "{told:?}");
        let told = read(store, text).await;
        assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    }
    until("the one that is cut off is named", async || {
        assert!(write(store, &keys.failing[0]).await.is_err());
        now().lacking == [addresses[shard.replicas[0]].clone()]
    })
    .await;
    cluster.resume(shard.replicas[0]).expect("resumed");
    all_answer(store, &keys.failing).await;
    // One that stands still is waited for, as nobody knows that it is none of the cluster; and is named.
    cluster.pause_outside().expect("paused");
    until("the one that stands still is named", async || {
        drop(write(store, &keys.failing[0]).await);
        now().lacking == [outside.clone()]
    })
    .await;
    cluster.end_outside().expect("ended");
    all_answer(store, &keys.failing).await;
    cluster.wait_until_whole().expect("whole");
}

/// Full to the brim: what is there is told, and what comes is refused.
async fn a_full_master_is_read(cluster: &RedisCluster, store: &RedisStore, keys: &Keys) {
    all_answer(store, &keys.failing).await;
    let set = |bytes| {
        for shard in cluster.shards().expect("answers") {
            cluster.ask::<String>(shard.master, &["CONFIG", "SET", "maxmemory", bytes]).expect("set");
        }
    };
    let stored = answered(|| read(store, &keys.failing[0])).await;
    set("1mb");
    refused_for(store, &keys.failing[0], "OOM").await;
    assert_eq!(answered(|| read(store, &keys.failing[0])).await, stored);
    assert_eq!(answered(|| store.versions(key(&keys.failing[0]))).await.value.first().map(|v| v.version), stored);
    assert_eq!(answered(|| store.poll(keys.poll(), 10)).await.len(), keys.group.len());
    let range = ListRange { prefix: KeyPrefix::all(), after: None, limit: 10 };
    answered(|| store.list_shard(keys.group[0], range.clone())).await;
    // Gateways stay members.
    let member = Member {
        id: 1,
        incarnation: 1,
        origin: "http://a".into(),
        weight: 1,
        state: MemberState::Serving,
        warm_for: 0,
    };
    let long = std::time::Duration::from_secs(600);
    assert!(answered(|| store.announce(member.clone(), long)).await);
    assert_eq!(answered(|| store.members()).await, [member]);
    assert!(answered(|| store.take_lease(1, long)).await.is_some());
    answered(|| store.retract(1, 1)).await;
    set("0");
    all_answer(store, &keys.failing).await;
}

async fn without_its_replica_a_master_tells_nothing(cluster: &mut RedisCluster, store: &RedisStore, keys: &Keys) {
    all_answer(store, &keys.failing).await;
    let shard = failing_master(cluster);
    let address = cluster.addresses()[shard.master].clone();
    cluster.kill(shard.replicas[0]).expect("killed");
    let told = write(store, &keys.failing[0]).await;
    assert!(matches!(told, Err(StoreError::Unknown(_))), "executed, but it may be lost: {told:?}");
    refused(store, keys, &address, 200).await;
    all_answer(store, &keys.others).await;
    // The master itself has the write, and says so to whoever asks without a fence.
    let names: Vec<String> =
        cluster.ask(shard.master, &["KEYS", &format!("*}}/{}", keys.failing[0])]).expect("answers");
    assert_eq!(names.len(), 1);
    cluster.restart(shard.replicas[0]).expect("restarted");
    all_answer(store, &keys.failing).await;
}

async fn a_silent_master_does_not_touch_the_others(cluster: &mut RedisCluster, store: &RedisStore, keys: &Keys) {
    cluster.wait_until_whole().expect("whole");
    let shard = failing_master(cluster);
    let address = cluster.addresses()[shard.master].clone();
    cluster.pause(shard.master).expect("paused");
    refused(store, keys, &address, 200).await;
    all_answer(store, &keys.others).await;
    cluster.resume(shard.master).expect("resumed");
    cluster.wait_until_whole().expect("whole");
    all_answer(store, &keys.failing).await;
}

/// Fact that the last command of a fence relies on.
async fn a_master_that_was_a_replica_has_another_history(cluster: &RedisCluster, store: &RedisStore, keys: &Keys) {
    cluster.wait_until_whole().expect("whole");
    let shard = failing_master(cluster);
    all_answer(store, &keys.failing).await;
    let history = || {
        let info: String = cluster.ask(shard.master, &["INFO", "replication"]).expect("answers");
        info.lines().find_map(|line| line.strip_prefix("master_replid:")).expect("told").to_owned()
    };
    let before = history();
    for next in [shard.replicas[0], shard.master] {
        // On a machine that is slow enough it may have taken over by itself, or take another try.
        cluster
            .wait_for("the lead is not handed over", || match cluster.master_of(0)? {
                master if master == next => Ok(()),
                master => {
                    drop(cluster.ask::<String>(next, &["CLUSTER", "FAILOVER"]));
                    Err(anyhow::anyhow!("{master} is master"))
                }
            })
            .expect("handed over");
        cluster.wait_until_whole().expect("whole");
    }
    assert_ne!(history(), before);
    all_answer(store, &keys.failing).await;
}

async fn acknowledged_writes_survive_a_failover(cluster: &mut RedisCluster, store: &RedisStore, keys: &Keys) {
    cluster.wait_until_whole().expect("whole");
    let shard = failing_master(cluster);
    let addresses = cluster.addresses();
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for n in 0..20 {
        for text in &keys.failing {
            let text = format!("{text}/{n}");
            if keys.group.contains(&store.layout().shard(&key(&text))) {
                acknowledged.push((text.clone(), answered(|| write(store, &text)).await));
            }
        }
    }
    // Its last writes are under way while it dies.
    let writes = (0..50).map(|n| {
        let text = format!("{}/late-{n}", keys.failing[n % keys.failing.len()]);
        async move { (text.clone(), write(store, &text).await) }
    });
    let (late, killed) = tokio::join!(futures_util::future::join_all(writes), async { cluster.kill(shard.master) });
    killed.expect("killed");
    acknowledged.extend(late.into_iter().filter_map(|(text, told)| Some((text, told.ok()?))));
    cluster
        .wait_for("the replica is not promoted", || match cluster.master_of(0)? {
            master if master == shard.replicas[0] => Ok(()),
            master => Err(anyhow::anyhow!("{master} is master")),
        })
        .expect("promoted");
    // The new master has no replica yet, so what it says does not count.
    assert!(read(store, &keys.failing[0]).await.is_err());
    all_answer(store, &keys.others).await;
    cluster.restart(shard.master).expect("restarted");
    all_answer(store, &keys.failing).await;
    for (text, version) in &acknowledged {
        assert_eq!(answered(|| read(store, text)).await, Some(*version), "{text}");
    }
    let known: Vec<String> = store.masters().into_iter().map(|master| master.address).collect();
    assert!(known.contains(&addresses[shard.replicas[0]]) && !known.contains(&addresses[shard.master]), "{known:?}");
    assert_eq!(store.groups().borrow().len(), 3);
    assert!(store.groups().borrow().contains(&keys.group), "the same shards, at another server");
}
