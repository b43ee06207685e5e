use super::*;

/// Lines that Redis 8.2.3 tells after server 35565 died and 41467 was promoted.
const PROMOTED: [&str; 6] = [
    "5755a91010ba1ebeb685e69c1413fbcf08bbf0c0 127.0.0.1:20859@30859 myself,master - 0 0 2 connected 5461-10921",
    "421719dbacffa7302646bfe8c3ea4a490b1592de 127.0.0.1:35565@45565 master,fail - 1796062858100 1796062857090 5 disconnected",
    "69ba5019bfb0bb426287a8a642bb12226725e892 127.0.0.1:37589@47589 slave 83dd9491a164dd40d8def687abd3c53c87b1e5b1 0 1796062864139 1 connected",
    "83dd9491a164dd40d8def687abd3c53c87b1e5b1 127.0.0.1:46529@56529 master - 0 1796062864038 1 connected 10922-16383",
    "8eb8fa153b45bf340b7ae8efcaecd739e69644fc 127.0.0.1:41467@51467 master - 0 1796062864441 6 connected 0-5460",
    "7c9aaf13b4da6b03e98ff1192efb4d88bf6859b8 127.0.0.1:44573@54573 slave 5755a91010ba1ebeb685e69c1413fbcf08bbf0c0 0 1796062864441 2 connected",
];
/// The same servers before, but that one has heard of the epoch of the election.
const BEFORE: [&str; 6] = [
    "5755a91010ba1ebeb685e69c1413fbcf08bbf0c0 127.0.0.1:20859@30859 master - 0 1796062855000 2 connected 5461-10921",
    "421719dbacffa7302646bfe8c3ea4a490b1592de 127.0.0.1:35565@45565 master,fail? - 1796062858100 1796062857090 5 disconnected 0-5460",
    "69ba5019bfb0bb426287a8a642bb12226725e892 127.0.0.1:37589@47589 slave 83dd9491a164dd40d8def687abd3c53c87b1e5b1 0 1796062855000 1 connected",
    "83dd9491a164dd40d8def687abd3c53c87b1e5b1 127.0.0.1:46529@56529 myself,master - 0 0 1 connected 10922-16383",
    "8eb8fa153b45bf340b7ae8efcaecd739e69644fc 127.0.0.1:41467@51467 slave 421719dbacffa7302646bfe8c3ea4a490b1592de 0 1796062855000 5 connected",
    "7c9aaf13b4da6b03e98ff1192efb4d88bf6859b8 127.0.0.1:44573@54573 slave 5755a91010ba1ebeb685e69c1413fbcf08bbf0c0 0 1796062855000 2 connected",
];

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// An answer to CLUSTER SLOTS that names one server.
fn named(id: &str, name: Value) -> Value {
    let node = Value::Array(vec![name, Value::Int(1), text(id), Value::Array(Vec::new())]);
    Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1), node])])
}

fn read_with(epoch: u64, slots: Value, lines: &[&str]) -> Result<ClusterView, StoreError> {
    let info = format!("cluster_state:ok\r\ncluster_current_epoch:{epoch}\r\ncluster_my_epoch:1\r\n");
    let asked = Address { host: "asked".into(), port: 1 };
    ClusterView::read(vec![text(&info), slots, text(&(lines.join("\n") + "\n"))], &asked)
}

fn read(epoch: u64, lines: &[&str]) -> ClusterView {
    read_with(epoch, Value::Array(Vec::new()), lines).expect("a view")
}

/// Port, slots and ports of the replicas of a master.
type Seen = (u16, Vec<(u16, u16)>, Vec<u16>);

fn seen(view: &ClusterView) -> Vec<Seen> {
    let ports = |list: &[Address]| list.iter().map(|address| address.port).collect();
    view.masters.iter().map(|m| (m.address.port, m.slots.clone(), ports(&m.replicas))).collect()
}

#[test]
fn a_master_that_died_is_none_beside_the_one_in_its_place() {
    let expected = [
        (20859, vec![(5461, 10921)], vec![44573]),
        (41467, vec![(0, 5460)], vec![]),
        (46529, vec![(10922, 16383)], vec![37589]),
    ];
    let mut lines = PROMOTED;
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        let view = read(6, &lines);
        assert_eq!((&seen(&view)[..], view.uncovered(), view.nodes.len()), (&expected[..], 0, 6));
        lines.swap(0, 3);
        assert_eq!(seen(&read(6, &lines)), expected, "in whatever order they are told");
    }
}

#[test]
fn the_newest_claim_to_a_slot_holds_whoever_tells_of_it() {
    let (before, after) = (read(6, &BEFORE), read(6, &PROMOTED));
    assert_eq!(seen(&before)[1], (35565, vec![(0, 5460)], vec![41467]), "nobody has taken its place yet");
    let views = [before, after.clone()];
    let newest = ClusterView::newest(&views).expect("two views");
    assert_eq!(ClusterView::newest(&[views[1].clone(), views[0].clone()]), Some(newest.clone()));
    assert_eq!(seen(&newest), seen(&after), "though both have heard of the newest epoch");
    assert_eq!(ClusterView::newest(&[]), None);
    assert_eq!(ClusterView::newest(std::slice::from_ref(&after)), Some(after));
}

#[test]
fn slots_that_moved_belong_to_whoever_raised_its_epoch_for_them() {
    let old = ["a 10.0.0.1:1@2 myself,master - 0 0 5 connected 0-16383", "b 10.0.0.2:1@2 master - 0 0 3 connected"];
    let new = [
        "a 10.0.0.1:1@2 master - 0 0 5 connected 0-99 101-16383 [7->-b]",
        "b 10.0.0.2:1@2 myself,master - 0 0 6 connected 100",
    ];
    for views in [[read(5, &old), read(6, &new)], [read(6, &new), read(5, &old)]] {
        let slots: Vec<_> = ClusterView::newest(&views).expect("views").masters.into_iter().map(|m| m.slots).collect();
        assert_eq!(slots, [vec![(0, 99), (101, 16_383)], vec![(100, 100)]]);
    }
}

#[test]
fn servers_are_reached_as_they_say() {
    let lines = ["a 10.0.0.9:7@8 master - 0 0 1 connected 0-9", "b :6@7 myself,master - 0 0 2 connected 10-19 25"];
    let host = |name: Value| {
        let view = read_with(2, named("a", name), &lines).expect("a view");
        assert_eq!(view.uncovered(), 16_384 - 21);
        let mut hosts = view.masters.into_iter().map(|master| master.address.to_string());
        (hosts.next().expect("two"), hosts.next().expect("two"))
    };
    // One that has not learnt its own address is where it was reached.
    assert_eq!(host(text("name.local")), ("asked:6".into(), "name.local:7".into()));
    for unknown in [Value::Nil, text(""), text("?")] {
        assert_eq!(host(unknown), ("10.0.0.9:7".into(), "asked:6".into()));
    }
    let gone = ["a :0@0 master,noaddr,fail - 0 0 1 disconnected 0-9", "b 10.0.0.1:6@7 handshake - 0 0 0 connected"];
    let view = read(1, &gone);
    assert_eq!((view.masters.len(), view.nodes.len()), (0, 0));
}

#[test]
fn what_no_server_tells_is_refused() {
    let slots = |slots: &str| format!("a 10.0.0.1:1@2 master - 0 0 5 connected {slots}");
    for line in [&slots("0-16384"), &slots("5-4"), &slots("x"), "a 10.0.0.1:1 master - 0 0 5 connected", "nonsense"] {
        let refused = read_with(1, Value::Array(Vec::new()), &[line]);
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{line}: {refused:?}");
    }
    assert!(matches!(read_with(1, Value::Int(1), &PROMOTED), Err(StoreError::Corrupt(_))));
}

#[test]
fn masters_without_slots_are_spares_unless_they_failed() {
    let lines = [
        "a 10.0.0.1:1@2 myself,master - 0 0 5 connected 0-16383 [7-<-b]",
        "b 10.0.0.2:2@3 master - 0 0 3 connected",
        "c 10.0.0.3:3@4 master,fail - 0 0 2 disconnected",
    ];
    let view = read(5, &lines);
    let ports = |list: &[MasterView]| list.iter().map(|master| master.address.port).collect::<Vec<_>>();
    assert_eq!((ports(&view.masters), ports(&view.spares)), (vec![1], vec![2]));
    assert_eq!(view.imported, [(7, "b".to_owned())]);
    // Another has heard already that the slot has come to it.
    let newer =
        ["a 10.0.0.1:1@2 master - 0 0 5 connected 0-6 8-16383", "b 10.0.0.2:2@3 myself,master - 0 0 6 connected 7"];
    let newest = ClusterView::newest(&[view, read(6, &newer)]).expect("two views");
    assert_eq!((ports(&newest.masters), ports(&newest.spares)), (vec![1, 2], vec![]));
}
