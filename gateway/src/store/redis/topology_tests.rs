use super::*;

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn node(endpoint: &str, port: i64, role: &str) -> Value {
    let fields = [text("ip"), text("10.0.0.9"), text("port"), Value::Int(port), text("endpoint"), text(endpoint)];
    Value::Array(fields.into_iter().chain([text("role"), text(role), text("health"), text("online")]).collect())
}

fn shard(slots: &[i64], nodes: Vec<Value>) -> Value {
    let slots = Value::Array(slots.iter().map(|&slot| Value::Int(slot)).collect());
    Value::Array(vec![text("slots"), slots, text("nodes"), Value::Array(nodes)])
}

fn read(shards: Vec<Value>) -> Result<View, StoreError> {
    let info = "cluster_state:ok\r\ncluster_current_epoch:7\r\ncluster_my_epoch:1\r\n";
    View::read(vec![text(info), Value::Array(shards)], &Address { host: "asked".into(), port: 1 })
}

#[test]
fn masters_are_those_that_have_slots() {
    let view = read(vec![
        shard(&[8_192, 16_383], vec![node("b", 2, "replica"), node("a", 1, "master"), node("c", 3, "replica")]),
        shard(&[0, 100, 200, 8_191], vec![node("", 4, "master")]),
        // A master that was deposed while it was away.
        shard(&[], vec![node("?", 5, "master")]),
    ]);
    let view = view.expect("a view");
    let address = |host: &str, port| Address { host: host.into(), port };
    let masters = [
        MasterView {
            id: String::new(),
            address: address("10.0.0.9", 4),
            slots: vec![(0, 100), (200, 8_191)],
            replicas: 0,
        },
        MasterView { id: String::new(), address: address("a", 1), slots: vec![(8_192, 16_383)], replicas: 2 },
    ];
    assert_eq!((view.epoch, view.masters.as_slice(), view.nodes.len()), (7, &masters[..], 5));
    assert_eq!(view.uncovered(), 99);
    assert_eq!(
        view.spares,
        [MasterView { id: String::new(), address: address("10.0.0.9", 5), slots: vec![], replicas: 0 }]
    );
}

#[test]
fn slots_out_of_range_are_refused() {
    for slots in [&[0][..], &[0, 16_384], &[5, 4], &[-1, 4]] {
        assert!(matches!(read(vec![shard(slots, vec![node("a", 1, "master")])]), Err(StoreError::Corrupt(_))));
    }
}
