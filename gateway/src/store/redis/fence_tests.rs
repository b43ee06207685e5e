//! Answers as Redis 7.0.15, Redis 8.2.3 and Valkey 9.1.2 gave them.

use super::*;

const ID: &str = "d0be481833e727bad362af8ab9152d2378aa10cd";

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn info(role: &str, replicas: &[&str]) -> Value {
    let lines = replicas.iter().enumerate().map(|(at, line)| format!("slave{at}:{line}\r\n")).collect::<String>();
    let head = format!("# Replication\r\nrole:{role}\r\nconnected_slaves:{}\r\n", replicas.len());
    let tail = "replicas_waiting_psync:0\r\nmaster_failover_state:no-failover\r\nslave_priority:100\r\n";
    text(&format!("{head}{lines}{tail}master_replid:{ID}\r\nmaster_repl_offset:131\r\n"))
}

fn listed(lines: &[&str]) -> Value {
    Value::Array(lines.iter().map(|line| text(line)).collect())
}

fn role(offset: i64) -> Value {
    Value::Array(vec![text("master"), Value::Int(offset), Value::Array(Vec::new())])
}

fn at(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

const MEMBER: &str =
    "9f5fa0e26b50473ba6d620eb3019e3d526ed79a6 127.0.0.1:34471@44471 slave 326b 0 1796061093491 5 connected";

fn told(replicas: &[&str], members: &[&str]) -> FenceReport {
    let values = vec![Value::Int(9), role(94), Value::Int(1), info("master", replicas), listed(members)];
    FenceReport::read(values).expect("answers of a master")
}

#[test]
fn members_are_told_from_others_by_their_address() {
    let lines = [
        "ip=127.0.0.1,port=34471,state=online,offset=94,lag=0",
        "ip=127.0.0.1,port=35473,state=online,offset=14,lag=0,type=replica",
        "ip=10.0.0.8,port=6379,state=wait_bgsave,offset=0,lag=0",
        "ip=10.0.0.9,port=0,state=online,offset=0,lag=7",
    ];
    let told = told(&lines, &[MEMBER]);
    assert_eq!(
        (told.offset, told.history.as_deref(), &told.members[..]),
        (94, Some(ID), &[at("127.0.0.1", 34471)][..])
    );
    let seen: Vec<_> = told.attached.iter().map(|replica| (replica.id.port, replica.acknowledged)).collect();
    assert_eq!(seen, [(34471, Some(94)), (35473, Some(14)), (6379, None)], "without a port, none of a cluster");
    let fence = ReplicaFence::new(1);
    assert_eq!(told.lacks(fence), [Lack::LateOutside(at("127.0.0.1", 35473))]);
    assert_eq!((told.waits_for(fence), told.outside()), (2, 2));
}

#[test]
fn a_replica_that_is_not_of_the_cluster_does_not_stand_in_for_one_that_is() {
    let told = told(&["ip=127.0.0.1,port=35473,state=online,offset=94,lag=0"], &[MEMBER]);
    let lacks = told.lacks(ReplicaFence::new(1));
    assert_eq!(lacks, [Lack::Detached(at("127.0.0.1", 34471))]);
    assert_eq!(words(&lacks[0], ReplicaFence::new(1)), "replica 127.0.0.1:34471 is not attached");
}

#[test]
fn one_server_has_several_spellings() {
    for (attached, listed) in [
        ("ip=::ffff:10.0.0.7,port=6379", "a1 10.0.0.7:6379@16379 slave b 0 0 1 connected"),
        ("ip=fd00:0:0::7,port=6379", "a1 fd00::7:6379@16379,,shard-id=69bc slave b 0 0 1 connected"),
        ("ip=redis-1.local,port=6379", "a1 10.0.0.7:6379@16379,redis-1.local slave,fail b 0 0 1 connected"),
    ] {
        let told = told(&[&format!("{attached},state=online,offset=94,lag=0")], &[listed]);
        assert_eq!(told.lacks(ReplicaFence::new(1)), [], "{attached} {listed}");
    }
    let lost = told(&[], &["a1 :0@0 slave,fail,noaddr b 0 0 1 disconnected"]).lacks(ReplicaFence::new(1));
    assert!(words(&lost[0], ReplicaFence::new(1)).contains("replica a1 has no address"), "{lost:?}");
}

#[test]
fn what_is_no_answer_of_a_master_tells_nothing() {
    let error = |line: &'static str| match ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
        Ok(Value::ServerError(error)) => Value::ServerError(error),
        other => panic!("{other:?}"),
    };
    let good = || vec![Value::Int(9), role(94), Value::Int(1), info("master", &[]), listed(&[])];
    assert!(FenceReport::read(good()).is_ok());
    let replaced = |at: usize, value: Value| {
        let mut values = good();
        values[at] = value;
        FenceReport::read(values)
    };
    assert!(matches!(replaced(0, error("MOVED 1 127.0.0.1:1")), Err(Unread::Refused(_))));
    assert!(matches!(replaced(2, error("ERR what")), Err(Unread::Refused(_))));
    assert!(matches!(replaced(4, error("ERR The specified node is not a master")), Err(Unread::Refused(_))));
    for at in 0..5 {
        assert_eq!(replaced(at, Value::Nil), Err(Unread::Odd), "{at}");
    }
    assert_eq!(replaced(3, info("master", &["ip=1.1.1.1,port=1,state=online"])), Err(Unread::Odd), "without an offset");
    assert_eq!(replaced(4, listed(&["nonsense"])), Err(Unread::Odd));
    assert_eq!(FenceReport::read(good()[..4].to_vec()), Err(Unread::Odd));
    // A replica: what it does not know it refuses, and it says what it is.
    let values = vec![
        Value::Int(9),
        Value::Array(vec![text("slave"), text("10.0.0.1"), Value::Int(6379), text("connected"), Value::Int(5)]),
        error("ERR WAIT cannot be used with replica instances"),
        info("slave", &[]),
        error("ERR The specified node is not a master"),
    ];
    assert_eq!(FenceReport::read(values).expect("read").history, None);
}
