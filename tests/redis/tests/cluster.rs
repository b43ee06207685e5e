//! Servers come, go and come back.

use foremap_redis_cluster::RedisCluster;

#[test]
fn a_cluster_fails_over_and_leaves_nothing_behind() {
    let mut cluster = RedisCluster::start(3, 1).expect("a cluster");
    let shards = cluster.shards().expect("answers");
    assert_eq!(shards.len(), 3);
    assert!(shards.iter().all(|shard| shard.replicas.len() == 1));
    assert_eq!(cluster.addresses().len(), 6);
    let first = shards[0].clone();
    assert_eq!(cluster.master_of(0).expect("known"), first.master);

    cluster.kill(first.master).expect("killed");
    cluster
        .wait_for("the replica is not promoted", || match cluster.master_of(0)? {
            master if master == first.replicas[0] => Ok(()),
            master => anyhow::bail!("{master} is master"),
        })
        .expect("promoted");
    cluster.restart(first.master).expect("restarted");
    cluster.wait_until_whole().expect("whole again");
    let now = cluster.shards().expect("answers").remove(0);
    assert_eq!((now.master, now.replicas), (first.replicas[0], vec![first.master]));

    cluster.pause(now.master).expect("paused");
    assert!(cluster.ask::<String>(now.master, &["PING"]).is_err());
    cluster.resume(now.master).expect("resumed");
    assert_eq!(cluster.ask::<String>(now.master, &["PING"]).expect("answers"), "PONG");

    let pids: Vec<u32> = cluster.pids().into_iter().flatten().collect();
    assert_eq!(pids.len(), 6);
    drop(cluster);
    let gone = |pid: i32| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err();
    assert!(pids.into_iter().all(|pid| gone(pid as i32)));
}

#[test]
fn the_port_of_a_server_that_is_down_stays_its_own() {
    let mut first = RedisCluster::start(3, 0).expect("a cluster");
    first.kill(1).expect("killed");
    let second = RedisCluster::start(3, 0).expect("a cluster");
    let taken = |address: &String| second.addresses().contains(address);
    assert!(!first.addresses().iter().any(taken));
    first.restart(1).expect("restarted");
}
