//! Nodes of one process over one store, through the host.

use std::sync::Arc;
use std::time::Duration;

use foremap::key::CompositeKey;
use foremap::node::{NodeConfig, NodeStats};
use foremap::partition::{MapNode, PartitionMap};
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, Class, Cursor, KeymapFields, Outcome};
use foremap_gateway::host::{Process, ShifterMode, Tailers};
use foremap_gateway::store::{Expect, RedbOptions, RedbStore, Values, Write, WriteOutcome};
use tokio::sync::watch;

struct Fixture {
    process: Arc<Process>,
    stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(&dir.path().join("s"), &RedbOptions::default()).expect("opened");
    let node = |id| MapNode { id, origin: format!("http://127.0.0.1:{id}"), weight: 1 };
    let map = Arc::new(PartitionMap::new(3, 1_024, store.layout(), (1..=3).map(node).collect()));
    let configs: Vec<_> = (1..=3).map(|id| NodeConfig::new(id, 5)).collect();
    let made = Process::new(Arc::new(store), &map, &configs, None, ShifterMode::Off);
    let process = Arc::new(made.expect("a valid map").0);
    let (stop, stopped) = watch::channel(false);
    let tailer = Tailers::start(process.clone()).await.expect("a store that works");
    tokio::spawn(tailer.run(stopped));
    Fixture { process, stop, _dir: dir }
}

impl Fixture {
    async fn put(&self, key: &str, locator: &str) -> Cursor {
        let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
        let key = CompositeKey::parse(key).expect("valid");
        let write = Write { key, fields: Some(fields), expect: Expect::Any, id: None };
        let read = self.process.store.write(write).await.expect("a store that works");
        assert!(matches!(read.value, WriteOutcome::Written(_)));
        Cursor { shard: read.shard, position: read.position }
    }

    async fn get(&self, node: u32, keys: &[String], floors: Vec<Cursor>) -> BatchResponse {
        let item = |key: &String| BatchItem {
            key: CompositeKey::parse(key).expect("valid"),
            if_version: None,
            class: Class::Demand,
        };
        let request = BatchRequest {
            items: keys.iter().map(item).collect(),
            max_staleness_ms: 5_000,
            floors,
            ..BatchRequest::default()
        };
        let node = self.process.nodes().find(|n| n.id() == node).expect("a node");
        self.process.batch(node, &request).await.expect("within limits")
    }

    /// Waits until every node has applied the log up to `floors`.
    async fn applied(&self, floors: &[Cursor]) {
        let behind = || {
            let now = self.process.clock.now();
            self.process.nodes().any(|node| {
                let positions = node.node().positions(now);
                floors.iter().any(|floor| positions[usize::from(floor.shard)].position < floor.position)
            })
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while behind() {
            assert!(tokio::time::Instant::now() < deadline, "the log did not arrive");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn stats(&self) -> Vec<NodeStats> {
        self.process.nodes().map(|node| node.node().stats()).collect()
    }
}

fn locator(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Found { keymap } => Some(&keymap.fields.locator),
        _ => None,
    }
}

fn locators(answer: &BatchResponse) -> Vec<Option<&str>> {
    answer.results.iter().map(|result| locator(&result.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_answers_any_key_and_owners_keep_them() {
    let fixture = fixture().await;
    let mut keys: Vec<String> = (0..30).map(|n| format!("user/{n}")).collect();
    let mut floors = Vec::new();
    for key in &keys {
        floors.push(fixture.put(key, key).await);
    }
    keys.push("user/none".into());
    // Until the log has told of the writes, fills may be refused.
    fixture.applied(&floors).await;
    let expected: Vec<Option<&str>> = (0..31).map(|n| keys.get(n).map(String::as_str).filter(|_| n < 30)).collect();
    for round in 0..3 {
        for node in 1..=3 {
            let answer = fixture.get(node, &keys, vec![]).await;
            assert_eq!(locators(&answer), expected, "round {round}, node {node}");
            let owners: Vec<u32> = answer.results.iter().map(|result| result.node).collect();
            assert!((1..=3).all(|id| owners.contains(&id)), "{owners:?}");
        }
    }
    let stats = fixture.stats();
    assert_eq!(stats.iter().map(|s| s.store_reads).sum::<u64>(), 31, "each key once: {stats:?}");
    assert_eq!(stats.iter().map(|s| s.memory_entries).sum::<u64>(), 31);
    let forwarded: u64 = stats.iter().map(|s| s.forwarded).sum();
    assert_eq!(forwarded, stats.iter().map(|s| s.received_forwards).sum::<u64>());
    // Of nine batches, two of three reach each key at another node than its owner.
    assert_eq!(forwarded, 31 * 6);
    fixture.stop.send_replace(true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_anywhere_reaches_the_owners_memory_and_a_floor_is_read_at_once() {
    let fixture = fixture().await;
    let keys = vec!["user/1".to_owned()];
    for round in 0..20 {
        let text = round.to_string();
        let floor = fixture.put("user/1", &text).await;
        // Read your writes, at every node, immediately.
        for node in 1..=3 {
            let answer = fixture.get(node, &keys, vec![floor]).await;
            assert_eq!(locators(&answer), [Some(text.as_str())], "round {round}, node {node}");
            assert!(answer.results[0].at.position >= floor.position);
        }
        // Without a floor: as soon as the log has told of the write.
        fixture.applied(&[floor]).await;
        for node in 1..=3 {
            assert_eq!(locators(&fixture.get(node, &keys, vec![]).await), [Some(text.as_str())]);
        }
    }
    fixture.stop.send_replace(true);
}
