use super::*;

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn another_key_takes_the_place_of_one_that_leaves_until_all_have_been_tried() {
    let fences = FenceKeys::default();
    assert_eq!((fences.first(), fences.instead_of("a", 1)), (None, None));
    fences.offer(keys(&["a", "b", "c"]));
    assert_eq!(fences.first().as_deref(), Some("a"));
    assert_eq!(fences.instead_of("a", 1).as_deref(), Some("b"));
    // Somebody else has found out meanwhile.
    assert_eq!(fences.instead_of("a", 1).as_deref(), Some("b"));
    // What serves stays first, though the topology is told again.
    fences.offer(keys(&["a", "b", "c"]));
    assert_eq!(fences.first().as_deref(), Some("b"));
    assert_eq!(fences.instead_of("b", 2).as_deref(), Some("c"));
    assert_eq!(fences.instead_of("c", 3), None);
    fences.offer(keys(&["d"]));
    assert_eq!(fences.first().as_deref(), Some("d"));
}

#[test]
fn only_a_slot_elsewhere_asks_for_another_key() {
    let refused = |line: &str| {
        let value = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("an error reply");
        is_elsewhere(Some(&value))
    };
    assert!(refused("MOVED 1 127.0.0.1:1") && refused("ASK 1 127.0.0.1:1"));
    assert!(!refused("OOM command not allowed") && !refused("READONLY You can't write"));
    assert!(!is_elsewhere(Some(&Value::Int(1))) && !is_elsewhere(None));
}

#[test]
fn a_fence_of_its_own_is_nobody_elses() {
    let (one, [.., set, _]) = alone("n{1}fence");
    let (other, _) = alone("n{1}fence");
    assert!(one.starts_with("n{1}fence:") && one != other);
    assert!(set.args_iter().count() == 5, "it goes by itself");
}
