use super::super::testing::Host;
use crate::protocol::Consistency;

#[test]
fn a_delta_that_comes_twice_leaves_the_map_as_it_is() {
    let mut host = Host::new();
    host.read("u/1").expect("answered");
    host.gateway.publish(|map| map.nodes[1].weight = 3);
    host.get_in(1, "u/2", Consistency::Bounded);
    host.get_in(2, "u/3", Consistency::Bounded);
    host.pass(1);
    assert_eq!(host.sent.len(), 2);
    host.deliver();
    assert_eq!(host.adapter.map().map(|map| map.hash()), Some(host.gateway.map.hash()));
    assert_eq!(host.adapter.stats(host.now).map_errors, 0);
}
