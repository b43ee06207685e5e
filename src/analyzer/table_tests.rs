use super::*;

const WINDOW: u16 = KEY_WINDOW;

fn id(bits: u64) -> KeyId {
    KeyId::from_bits(bits).expect("not 0")
}

/// A context hash that lands in set 0 of any table.
fn context(tag: u64) -> u64 {
    tag << 1
}

fn known(table: &PredictionTable, of: u64) -> Vec<(u64, u16, bool)> {
    let successors = table.get(context(of)).expect("known");
    successors.iter().map(|next| (next.id.bits(), next.count, next.latest)).collect()
}

#[test]
fn a_line_fills_one_cache_line() {
    assert_eq!(size_of::<Line>(), 64);
    assert_eq!(align_of::<Line>(), 64);
}

#[test]
fn one_successor_takes_eight_bytes_and_the_second_makes_a_line() {
    assert_eq!(size_of::<Single>(), 8);
    let mut table = PredictionTable::new(1 << 12);
    for _ in 0..3 {
        assert!(!table.learn(context(1), id(1), true, WINDOW));
    }
    assert_eq!((known(&table, 1), table.get(context(1)).map(|known| known.total)), (vec![(1, 3, true)], Some(3)));
    assert!(table.learn(context(1), id(2), true, WINDOW));
    assert_eq!((known(&table, 1), table.used()), (vec![(1, 3, false), (2, 1, true)], 1));
    assert!(table.learn(context(1), id(1), true, WINDOW));
    assert_eq!(table.get(context(1)).map(|known| known.total), Some(5));
    assert!(table.get(context(2)).is_none());
}

#[test]
fn creates_only_on_request() {
    let mut table = PredictionTable::new(1 << 12);
    assert!(table.learn(context(1), id(1), false, WINDOW));
    assert!(table.get(context(1)).is_none());
    table.learn(context(1), id(1), true, WINDOW);
    assert!(table.learn(context(1), id(2), false, WINDOW));
    assert_eq!((table.used(), table.replaced()), (1, 0));
}

#[test]
fn rare_successors_do_not_displace_a_frequent_one() {
    let mut table = PredictionTable::new(1 << 12);
    for _ in 0..20 {
        table.learn(context(1), id(1), true, WINDOW);
    }
    for rare in 100..400 {
        table.learn(context(1), id(rare), true, WINDOW);
        table.learn(context(1), id(1), true, WINDOW);
    }
    let line = table.get(context(1)).expect("kept");
    let best = line.iter().max_by_key(|next| next.count).expect("one");
    assert_eq!(best.id, id(1));
    assert!(line.total < WINDOW);
    assert!(line.iter().all(|next| next.count <= line.total));
}

#[test]
fn a_changed_pattern_outweighs_the_old_one_within_a_window() {
    let mut table = PredictionTable::new(1 << 12);
    for _ in 0..1_000 {
        table.learn(context(1), id(1), true, WINDOW);
    }
    for _ in 0..WINDOW {
        table.learn(context(1), id(2), true, WINDOW);
    }
    let line = table.get(context(1)).expect("kept");
    let best = line.iter().max_by_key(|next| next.count).expect("one");
    assert_eq!(best.id, id(2));
}

#[test]
fn a_full_set_replaces_what_is_visited_least_and_never_grows() {
    let mut table = PredictionTable::new(0);
    assert_eq!(table.capacity(), WAYS + SINGLES);
    for _ in 0..5 {
        table.learn(context(1), id(1), true, WINDOW);
    }
    for other in 2..8 {
        table.learn(context(other), id(1), true, WINDOW);
    }
    for other in 100..104 {
        table.learn(context(other), id(1), true, WINDOW);
    }
    assert!(table.get(context(1)).is_some(), "a context visited often outlives a scan");
    // The same of lines.
    for other in 1_001..1_003 {
        for successor in 1..9 {
            table.learn(context(other), id(successor), true, WINDOW);
        }
    }
    for other in 1_003..1_006 {
        table.learn(context(other), id(1), true, WINDOW);
        table.learn(context(other), id(2), true, WINDOW);
    }
    assert!(table.get(context(1_001)).is_some() || table.get(context(1_002)).is_some());
    assert!(table.used() <= WAYS + SINGLES && table.bytes() == WAYS * 64 + 64);
    assert!(table.replaced() > 0);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// While nothing is replaced or halved, the table counts as a map of maps does.
        #[test]
        fn counts_as_a_map_of_maps(visits in prop::collection::vec((0_u64..40, 1_u64..7), 1..30)) {
            let mut table = PredictionTable::new(1 << 20);
            let mut model: HashMap<u64, HashMap<u64, u16>> = HashMap::new();
            let spread = |context: u64| (context + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for (context, next) in visits {
                table.learn(spread(context), id(next), true, WINDOW);
                *model.entry(context).or_default().entry(next).or_default() += 1;
            }
            for (context, next) in model {
                let known = table.get(spread(context)).expect("nothing was replaced");
                prop_assert_eq!(known.total, next.values().sum::<u16>());
                let counts: HashMap<u64, u16> = known.iter().map(|next| (next.id.bits(), next.count)).collect();
                prop_assert_eq!(counts, next);
                prop_assert!(known.iter().filter(|next| next.latest).count() == 1);
            }
        }
    }
}
