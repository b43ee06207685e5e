//! The memory tier against a map that forgets nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::protocol::KeymapFields;

fn key(n: u8) -> CompositeKey {
    CompositeKey::parse(&format!("user/{n}")).expect("valid")
}

fn keymap(n: u8, version: u64, length: usize) -> Keymap {
    let fields = KeymapFields { locator: "x".repeat(length), ..KeymapFields::default() };
    Keymap { key: key(n), version, fields }
}

fn get(memory: &Memory, n: u8) -> Option<Arc<MemoryEntry>> {
    memory.get(memory.id(&key(n)), &key(n))
}

#[derive(Debug, Clone)]
enum Step {
    Insert { n: u8, as_of: u64, generation: u32, length: usize },
    Invalidate { n: u8, version: u64 },
    Get { n: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..12_u8;
    prop_oneof![
        4 => (n.clone(), 1..30_u64, 1..3_u32, prop_oneof![4 => Just(10_usize), 1 => 0..3_000_usize])
            .prop_map(|(n, as_of, generation, length)| Step::Insert { n, as_of, generation, length }),
        1 => (n.clone(), 1..30_u64).prop_map(|(n, version)| Step::Invalidate { n, version }),
        3 => n.prop_map(|n| Step::Get { n }),
    ]
}

/// State that a step left: `as_of` and generation of every key that is held, bytes and evictions.
type Left = (BTreeMap<u8, (u64, u32)>, u64, u64);

fn run(steps: &[Step], max_entries: usize, max_bytes: usize) -> Vec<Left> {
    let memory = Memory::new(5, max_entries, max_bytes);
    let mut truth: BTreeMap<u8, (u64, u32)> = BTreeMap::new();
    let mut seen = Vec::new();
    for step in steps {
        match *step {
            Step::Insert { n, as_of, generation, length } => {
                memory.insert(key(n), Some(keymap(n, as_of, length)), as_of, generation);
                let held = get(&memory, n).map(|entry| (entry.as_of, entry.generation));
                // It may not have room, but what replaces a newer one of its generation is wrong.
                if let Some(before) = truth.get(&n).filter(|(newer, same)| *same == generation && *newer > as_of) {
                    assert_eq!(held, Some(*before), "{step:?}");
                }
            }
            Step::Invalidate { n, version } => {
                let outdated = truth.get(&n).is_some_and(|(as_of, _)| *as_of < version);
                assert_eq!(memory.invalidate(&key(n), version), outdated);
            }
            Step::Get { n } => assert_eq!(get(&memory, n).is_some(), truth.contains_key(&n)),
        }
        let held: Vec<_> = (0..12).map(|n| memory.entries.peek(&memory.id(&key(n)))).collect();
        truth = (0..).zip(&held).filter_map(|(n, e)| e.as_ref().map(|e| (n, (e.as_of, e.generation)))).collect();
        let bytes: u64 = held.iter().flatten().map(|entry| entry.weight).sum();
        assert_eq!((memory.len(), memory.bytes()), (truth.len(), bytes));
        assert!(memory.len() <= max_entries && bytes <= max_bytes as u64, "{} entries, {bytes} B", memory.len());
        seen.push((truth.clone(), bytes, memory.evictions()));
    }
    seen
}

proptest! {
    #[test]
    fn it_keeps_its_bounds_counts_right_and_never_goes_back(
        steps in proptest::collection::vec(step(), 1..120),
        max_entries in 0..14_usize,
        max_bytes in 0..8_000_usize,
    ) {
        let seen = run(&steps, max_entries, max_bytes);
        // The same calls leave the same entries.
        prop_assert_eq!(seen, run(&steps, max_entries, max_bytes));
    }
}

#[test]
fn what_fits_stays_and_slices_share_the_bounds() {
    let memory = Memory::new(5, 100_000, 64 << 20);
    assert_eq!(memory.entries.num_shards(), Memory::MAX_SLICES);
    assert!(memory.entries.capacity() <= 64 << 20);
    for n in 0..200 {
        memory.insert(key(n), None, 1, 1);
    }
    assert_eq!((memory.len(), memory.evictions()), (200, 0));
    // The largest keymap has room in a slice.
    memory.insert(key(255), Some(keymap(255, 1, KeymapFields::MAX_LOCATOR + KeymapFields::MAX_META)), 1, 1);
    assert!(get(&memory, 255).is_some());
}

#[test]
fn another_key_of_the_same_id_is_not_mistaken() {
    let memory = Memory::new(5, 100, 100_000);
    memory.insert(key(1), None, 1, 1);
    assert!(memory.get(memory.id(&key(1)), &key(2)).is_none());
}
