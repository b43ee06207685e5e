//! Tests of what makes the simulated cluster as bad as a real one.

use foremap::protocol::KeymapFields;

use super::*;

const NOW: u64 = 1_000_000_000;
const RETENTION: Retention = Retention { versions: 5, log_entries: 20 };

fn cluster(replicas: usize) -> Cluster {
    Cluster::new(StorageLayout { shards: 4, depth: 1, fan: 1 }, RETENTION, 1, replicas)
}

fn key() -> CompositeKey {
    CompositeKey::parse("a/b").expect("a valid key")
}

fn put(locator: &str) -> Command {
    let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
    Command::Write(Write { key: key(), fields: Some(fields), expect: Expect::Any, id: None, latest_us: u64::MAX })
}

fn found(cluster: &mut Cluster, server: usize) -> Option<String> {
    match cluster.execute((0, server), 99, NOW, &Command::Read(key())) {
        Ok(Reply::Read(answer)) => answer.value.map(|keymap| keymap.fields.locator),
        other => panic!("{other:?}"),
    }
}

/// Carries messages until there are none; returns what `WAIT`s came to.
fn carry(cluster: &mut Cluster) -> Vec<Option<u32>> {
    let mut waited = Vec::new();
    loop {
        let messages = cluster.take_messages();
        if messages.is_empty() {
            return waited;
        }
        for message in messages {
            match message.body {
                Body::Waited(_, told) => waited.push(told.map(|told| told.count)),
                _ => cluster.arrive(message),
            }
        }
    }
}

fn wait(cluster: &mut Cluster, server: usize, connection: u64) -> Vec<Option<u32>> {
    cluster.wait((0, server), connection, cluster.replicas(), 1).expect("a master");
    let waited = carry(cluster);
    cluster.stop_waiting((0, server), 1);
    waited.into_iter().chain(carry(cluster)).collect()
}

#[test]
fn wait_counts_the_replicas_that_have_the_last_write_of_its_connection() {
    let mut cluster = cluster(2);
    cluster.execute((0, 0), 1, NOW, &put("one")).expect("a master");
    // Nobody has it yet, but a connection that has written nothing does not ask for it.
    cluster.wait((0, 0), 2, 2, 7).expect("a master");
    let messages = cluster.take_messages();
    assert!(messages.iter().any(|message| matches!(&message.body, Body::Waited(7, Some(told)) if told.count == 2)));
    // The connection of the write waits for the replicas.
    cluster.wait((0, 0), 1, 2, 8).expect("a master");
    assert!(cluster.take_messages().is_empty());
    messages.into_iter().for_each(|message| cluster.arrive(message));
    assert_eq!(carry(&mut cluster), [Some(2)]);
    assert_eq!(cluster.take_effective().len(), 1);
}

#[test]
fn a_promotion_loses_the_tail_and_the_fence_tells() {
    let mut cluster = cluster(1);
    assert!(cluster.perform(0, NOW, &put("one")).expect("a master").1);
    // Executed, but on its way to the replica while that is promoted.
    cluster.execute((0, 0), 1, NOW, &put("two")).expect("a master");
    let messages = cluster.take_messages();
    cluster.promote((0, 1));
    messages.into_iter().for_each(|message| cluster.arrive(message));
    assert_eq!(found(&mut cluster, 1).as_deref(), Some("one"));
    // The old master has not noticed: it answers, and believes its replica to be there.
    assert_eq!(found(&mut cluster, 0).as_deref(), Some("two"));
    let closing = cluster.take_messages();
    assert_eq!(wait(&mut cluster, 0, 5), [Some(1)], "a fresh connection is told yes");
    cluster.increment((0, 0), 5).expect("it takes itself for a master");
    assert_eq!(wait(&mut cluster, 0, 5), [Some(0)], "with a write of its own it is not");
    closing.into_iter().for_each(|message| cluster.arrive(message));
    // It hears of it, and follows: its tail is gone for good.
    cluster.follow((0, 0));
    assert!(carry(&mut cluster).is_empty() && cluster.is_settled((0, 0)));
    assert_eq!(cluster.execute((0, 0), 1, NOW, &put("x")), Err(Refused::NotMaster));
    assert!(cluster.perform(0, NOW, &put("three")).expect("a master").1);
    let Ok((Reply::Versions(kept, _), true)) = cluster.perform(0, NOW, &Command::Versions(key())) else {
        panic!("versions")
    };
    assert_eq!(kept.len(), 2);
    let effective: Vec<_> = cluster.take_effective().iter().map(|stored| stored.serial).collect();
    assert_eq!(effective, [1, 3], "never what was lost");
}

#[test]
fn a_server_that_is_not_of_the_cluster_acknowledges_and_is_never_promoted() {
    let mut cluster = cluster(1);
    cluster.move_outside(0, Some(0));
    carry(&mut cluster);
    assert!(cluster.has_outside((0, 0)) && !cluster.is_candidate((0, cluster.outside())));
    // The member hears nothing, and the other one all.
    cluster.execute((0, 0), 1, NOW, &put("one")).expect("a master");
    cluster.wait((0, 0), 1, 1, 7).expect("a master");
    let outside = cluster.outside();
    let mut told = None;
    loop {
        let messages = cluster.take_messages();
        if messages.is_empty() {
            break;
        }
        for message in messages {
            match message.body {
                Body::Waited(7, state) => told = state,
                _ if message.to == Some(outside) || message.from == outside => cluster.arrive(message),
                _ => {}
            }
        }
    }
    let told = told.expect("WAIT 1 is satisfied");
    assert_eq!((told.count, &told.members[..]), (1, &[1][..]));
    let lacks = ReplicaFence::new(1).lacks(told.offset, &told.members, &told.attached);
    assert_eq!(lacks, [foremap::node::Lack::Late(1)]);
    assert!(cluster.take_effective().is_empty());
    cluster.promote((0, 1));
    assert_eq!(found(&mut cluster, 1), None, "it is lost");
}

#[test]
fn a_crash_breaks_connections_and_may_lose_what_is_not_on_disk() {
    let mut cluster = cluster(1);
    assert!(cluster.perform(0, NOW, &put("one")).expect("a master").1);
    assert!(cluster.perform(0, NOW, &put("two")).expect("a master").1);
    cluster.execute((0, 0), 1, NOW, &put("three")).expect("a master");
    cluster.wait((0, 0), 1, 1, 7).expect("a master");
    drop(cluster.take_messages());
    cluster.crash((0, 0), false);
    assert_eq!(carry(&mut cluster), [None]);
    assert_eq!(cluster.execute((0, 0), 1, NOW, &put("x")), Err(Refused::Down));
    cluster.restart((0, 0));
    assert_eq!(found(&mut cluster, 0).as_deref(), Some("three"), "all that it said is on its disk");
    assert!(!cluster.is_settled((0, 1)), "nobody follows a server that has just started");
    cluster.follow((0, 1));
    carry(&mut cluster);
    assert!(cluster.is_settled((0, 1)));
    assert!(cluster.perform(0, NOW, &put("four")).expect("a master").1);
    cluster.crash((0, 0), true);
    cluster.restart((0, 0));
    assert_eq!(found(&mut cluster, 0).as_deref(), Some("three"), "the disk was behind");
}

#[test]
fn versions_ascend_whatever_the_clocks_say() {
    let mut cluster = cluster(1);
    let mut version = |ahead_us| {
        cluster.set_clock((0, 0), ahead_us);
        match cluster.perform(0, NOW, &put(&ahead_us.to_string())).expect("a master").0 {
            Reply::Written(Outcome::Written { version, .. }, _) => Some(version),
            _ => None,
        }
    };
    assert_eq!(version(5_000_000), Some(NOW + 5_000_000));
    assert_eq!(version(-5_000_000), Some(NOW + 5_000_001));
    assert_eq!(version(-(NOW as i64)), Some(NOW + 5_000_002), "as far behind as there is");
}
