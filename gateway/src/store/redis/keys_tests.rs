use super::*;

#[test]
fn slots_are_those_of_redis() {
    // CLUSTER KEYSLOT of Redis 7.
    assert_eq!([slot_of("123456789"), slot_of("foo"), slot_of("")], [0x31c3, 12_182, 0]);
}

#[test]
fn every_shard_lies_in_its_part_of_the_slots() {
    for shards in [1, 7, 256, 4_096, SLOTS] {
        let keys = Keyspace::new("fm", shards);
        assert_eq!(keys.shards(), shards);
        for shard in 0..shards {
            let slot = u32::from(keys.slot(KeyPlace::Shard(shard)));
            assert_eq!(slot * u32::from(shards) / u32::from(SLOTS), u32::from(shard));
        }
    }
}

#[test]
fn names_are_frozen() {
    // Stored data depends on them.
    let keys = Keyspace::new("fm", 256);
    let first = [
        keys.newest(0, "a/b"),
        keys.older(0, "a/b"),
        keys.key(KeyPlace::Shard(255), LOG),
        keys.key(KeyPlace::Meta, MAP),
    ];
    assert_eq!(first, ["fm{460}/a/b", "fm{460}older/a/b", "fm{430}log", "fm{meta}map"]);
}

#[test]
fn fences_are_in_slots_of_the_master_and_not_all_in_one() {
    let keys = Keyspace::new("fm", 256);
    let slots = |fences: &[String]| -> Vec<u16> {
        let tag = |fence: &String| fence.split(['{', '}']).nth(1).map(slot_of);
        fences.iter().filter_map(tag).collect()
    };
    for ranges in [&[(0, 5_460)][..], &[(100, 300), (9_000, 9_010)], &[(0, 16_383)]] {
        let fences = keys.fences(ranges);
        let mut slots = slots(&fences);
        assert!(slots.iter().all(|slot| ranges.iter().any(|&(first, last)| (first..=last).contains(slot))));
        slots.sort_unstable();
        slots.dedup();
        assert_eq!((fences.len(), slots.len()), (FENCES, FENCES), "{ranges:?}");
    }
    assert!(keys.fences(&[]).is_empty());
}
