use super::*;

fn id(bits: u64) -> KeyId {
    KeyId::from_bits(bits).expect("not 0")
}

/// A context hash that lands in set 0 of any table.
fn context(tag: u64) -> u64 {
    tag << 1
}

#[test]
fn a_line_fills_one_cache_line() {
    assert_eq!(size_of::<Line>(), 64);
    assert_eq!(align_of::<Line>(), 64);
}

#[test]
fn counts_and_marks_the_latest() {
    let mut table = PredictionTable::new(1 << 12);
    for successor in [1, 2, 1] {
        table.learn(context(1), id(successor), true);
    }
    let line = table.get(context(1)).expect("learnt");
    let known: Vec<_> = line.successors().collect();
    assert_eq!(line.total(), 3);
    assert_eq!(
        known,
        [Successor { id: id(1), count: 2, latest: true }, Successor { id: id(2), count: 1, latest: false }]
    );
    assert!(table.get(context(2)).is_none());
}

#[test]
fn says_when_a_context_is_ambiguous_and_creates_only_on_request() {
    let mut table = PredictionTable::new(1 << 12);
    assert!(!table.learn(context(1), id(1), false));
    assert!(table.get(context(1)).is_none());
    assert!(!table.learn(context(1), id(1), true));
    assert!(table.learn(context(1), id(2), false));
    assert_eq!((table.used(), table.replaced()), (1, 0));
}

#[test]
fn rare_successors_do_not_displace_a_frequent_one() {
    let mut table = PredictionTable::new(1 << 12);
    for _ in 0..20 {
        table.learn(context(1), id(1), true);
    }
    for rare in 100..400 {
        table.learn(context(1), id(rare), true);
        table.learn(context(1), id(1), true);
    }
    let line = table.get(context(1)).expect("kept");
    let best = line.successors().max_by_key(|next| next.count).expect("one");
    assert_eq!(best.id, id(1));
    assert!(line.total() < WINDOW);
    assert!(line.successors().all(|next| next.count <= line.total()));
}

#[test]
fn a_changed_pattern_outweighs_the_old_one_within_a_window() {
    let mut table = PredictionTable::new(1 << 12);
    for _ in 0..1_000 {
        table.learn(context(1), id(1), true);
    }
    for _ in 0..WINDOW {
        table.learn(context(1), id(2), true);
    }
    let line = table.get(context(1)).expect("kept");
    let best = line.successors().max_by_key(|next| next.count).expect("one");
    assert_eq!(best.id, id(2));
}

#[test]
fn a_full_set_replaces_the_line_visited_least_and_never_grows() {
    let mut table = PredictionTable::new(0);
    assert_eq!(table.capacity(), WAYS);
    for _ in 0..MAX_KEEP {
        table.learn(context(1), id(1), true);
    }
    for other in 2..10 {
        table.learn(context(other), id(1), true);
    }
    assert!(table.get(context(1)).is_some(), "a context visited often outlives a scan of few");
    for other in 10..40 {
        table.learn(context(other), id(1), true);
    }
    assert!(table.get(context(1)).is_none(), "but not for ever");
    assert_eq!((table.used(), table.bytes()), (WAYS, WAYS * 64));
}
