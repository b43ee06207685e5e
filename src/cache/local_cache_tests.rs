use super::*;
use crate::key::KeyPrefix;
use crate::protocol::{Change, Cursor, KeymapFields};

const ANY: u32 = u32::MAX;

fn cache() -> LocalCache {
    LocalCache::new(CacheConfig { seed: 7, ..CacheConfig::default() })
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).unwrap()
}

fn keymap(text: &str, version: u64, tags: &[&str]) -> Option<Arc<Keymap>> {
    let tags = tags.iter().map(|tag| tag.to_string()).collect();
    let fields = KeymapFields { locator: format!("s3://{text}"), tags, ..KeymapFields::default() };
    Some(Arc::new(Keymap { key: key(text), version, fields }))
}

fn at(position: u64) -> ReadPoint {
    ReadPoint { shard: 1, position, age_ms: 0 }
}

fn put(cache: &mut LocalCache, now: Millis, text: &str, version: u64, position: u64) -> Inserted {
    let fence = cache.fence(now);
    cache.insert(now, fence, &key(text), keymap(text, version, &[]), at(position), Source::Demand)
}

fn guess(cache: &mut LocalCache, text: &str) -> Inserted {
    let fence = cache.fence(0);
    cache.insert(0, fence, &key(text), keymap(text, 1, &[]), at(1), Source::Prefetch)
}

fn change(text: &str, version: u64) -> Change {
    Change { shard: 1, version, key: key(text), deleted: false }
}

fn version(lookup: &Lookup) -> Option<u64> {
    match lookup {
        Lookup::Hit(hit) => hit.keymap.as_ref().map(|keymap| keymap.version),
        _ => None,
    }
}

#[test]
fn age_counts_from_sending_and_includes_the_age_of_the_answer() {
    let mut cache = cache();
    let fence = cache.fence(1_000);
    let point = ReadPoint { shard: 1, position: 9, age_ms: 200 };
    cache.insert(1_500, fence, &key("a/b"), keymap("a/b", 9, &[]), point, Source::Demand);
    let Lookup::Hit(hit) = cache.get(1_500, &key("a/b"), 700) else { panic!("700 ms are allowed") };
    assert_eq!(hit.at, ReadPoint { shard: 1, position: 9, age_ms: 700 });
    assert!(matches!(cache.get(1_501, &key("a/b"), 700), Lookup::Stale(_)));
    assert!(cache.contains_fresh(1_501, &key("a/b"), 701));
    assert_eq!(cache.get(1_501, &key("a"), ANY), Lookup::Miss);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.stale, stats.misses), (1, 1, 1));
}

#[test]
fn the_feed_keeps_a_whole_shard_fresh() {
    let mut cache = cache();
    assert_eq!(put(&mut cache, 0, "a/b", 5, 5), Inserted::Covered);
    assert_eq!(put(&mut cache, 0, "a/c", 4, 5), Inserted::Covered);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 5 }]);
    assert!(cache.apply_change(&change("a/c", 8)));
    assert!(!cache.apply_change(&change("a/c", 8)), "told twice");
    cache.cover(&ReadPoint { shard: 1, position: 8, age_ms: 100 }, 10_000);
    let Lookup::Hit(hit) = cache.get(10_050, &key("a/b"), 150) else { panic!("covered") };
    assert_eq!(hit.at, ReadPoint { shard: 1, position: 8, age_ms: 150 });
    assert_eq!(cache.get(10_050, &key("a/c"), ANY), Lookup::Miss);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 8 }]);
    assert_eq!(cache.stats().changed, 1);
}

#[test]
fn an_older_exchange_never_moves_the_cursor_back_but_its_time_counts() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 5);
    cache.cover(&at(90), 1_000);
    cache.cover(&at(70), 1_500);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 90 }]);
    assert!(cache.contains_fresh(1_500, &key("a"), 0));
    cache.cover(&at(80), 1_200);
    assert!(cache.contains_fresh(1_500, &key("a"), 0));
}

#[test]
fn a_change_already_included_drops_nothing() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 20);
    assert!(!cache.apply_change(&change("a", 20)));
    assert!(cache.apply_change(&change("a", 21)));
}

#[test]
fn an_answer_behind_the_cursor_is_covered_only_by_remembered_changes() {
    let mut cache = LocalCache::with_memory(CacheConfig::default(), 2, 8);
    put(&mut cache, 0, "a", 5, 10);
    cache.apply_change(&change("x", 20));
    cache.apply_change(&change("y", 30));
    cache.cover(&at(30), 1_000);
    // From a gateway that is behind: (15, 30] is remembered and does not touch b.
    assert_eq!(put(&mut cache, 1_000, "b", 5, 15), Inserted::Covered);
    assert_eq!(put(&mut cache, 1_000, "x", 5, 15), Inserted::Outdated);
    assert_eq!(put(&mut cache, 1_000, "x", 20, 25), Inserted::Covered);
    // Before the shard was followed nothing is known.
    assert_eq!(put(&mut cache, 1_000, "c", 5, 9), Inserted::NotCovered);
    cache.apply_change(&change("z", 40)); // pushes out the one at 20
    cache.cover(&at(40), 2_000);
    assert_eq!(put(&mut cache, 1_000, "d", 5, 19), Inserted::NotCovered);
    assert_eq!(put(&mut cache, 1_000, "e", 5, 20), Inserted::Covered);
    for (name, covered) in [("a", true), ("b", true), ("c", false), ("d", false), ("e", true)] {
        assert_eq!(cache.contains_fresh(2_000, &key(name), 0), covered, "{name}");
    }
    assert_eq!((cache.stats().known_changes, cache.stats().max_known_changes), (2, 2));
}

#[test]
fn a_reset_leaves_entries_to_their_own_age() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 10);
    cache.cover(&at(20), 1_000);
    cache.reset_shard(1);
    assert!(!cache.contains_fresh(1_000, &key("a"), 999));
    assert!(cache.contains_fresh(1_000, &key("a"), 1_000));
    assert_eq!(cache.cursors(), []);
    // Below every cursor ever sent there is no start: an older exchange may still be under way.
    assert_eq!(put(&mut cache, 1_000, "b", 5, 19), Inserted::NotCovered);
    assert_eq!(put(&mut cache, 1_000, "c", 5, 25), Inserted::Covered);
    cache.cover(&at(30), 2_000);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 30 }]);
    assert!(cache.contains_fresh(2_000, &key("c"), 0));
    assert!(!cache.contains_fresh(2_000, &key("a"), 1_999));
    assert!(!cache.contains_fresh(2_000, &key("b"), 999));
    cache.reset_shard(999); // unknown: nothing to forget
    // An older exchange may also be what makes the shard followed again.
    cache.reset_shard(1);
    cache.cover(&at(15), 3_000);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 30 }]);
    assert_eq!(put(&mut cache, 3_000, "d", 5, 29), Inserted::NotCovered);
}

#[test]
fn an_unused_shard_starts_anew_instead_of_catching_up() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 10);
    cache.invalidate(0, &Invalidate::Key(key("a")));
    assert_eq!(cache.cursors(), []);
    put(&mut cache, 5_000, "b", 5, 500);
    assert_eq!(cache.cursors(), [Cursor { shard: 1, position: 500 }]);
}

#[test]
fn whatever_was_in_flight_at_an_invalidation_is_not_cached() {
    let scopes = [
        Invalidate::Key(key("user/1")),
        Invalidate::Prefix(KeyPrefix::parse("user").unwrap()),
        Invalidate::Prefix(KeyPrefix::parse("user/1").unwrap()),
        Invalidate::Prefix(KeyPrefix::all()),
        Invalidate::Tag("red".into()),
        Invalidate::All,
    ];
    for scope in scopes {
        let mut cache = cache();
        let fence = cache.fence(0);
        cache.invalidate(0, &scope);
        let mut offer =
            |fence, text: &str, tag| cache.insert(9, fence, &key(text), keymap(text, 1, &[tag]), at(1), Source::Demand);
        assert_eq!(offer(fence, "user/1", "red"), Inserted::Fenced, "{scope:?}");
        let everything = matches!(&scope, Invalidate::All) || scope == Invalidate::Prefix(KeyPrefix::all());
        assert_eq!(offer(fence, "users/1", "blue") == Inserted::Fenced, everything, "{scope:?}");
        let after = cache.fence(9);
        let late = cache.insert(9, after, &key("user/1"), keymap("user/1", 1, &["red"]), at(1), Source::Demand);
        assert_eq!(late, Inserted::Covered, "{scope:?}");
    }
}

#[test]
fn a_fence_older_than_what_is_remembered_counts_as_raised() {
    let mut cache = LocalCache::with_memory(CacheConfig::default(), 8, 2);
    let old = cache.fence(0);
    cache.invalidate(0, &Invalidate::Key(key("x")));
    let newer = cache.fence(0);
    for other in ["y", "z"] {
        cache.invalidate(0, &Invalidate::Key(key(other)));
    }
    let mut offer = |fence| cache.insert(0, fence, &key("a"), None, at(1), Source::Demand);
    assert_eq!(offer(old), Inserted::Fenced);
    assert_eq!(offer(newer), Inserted::Covered);
    assert_eq!((cache.stats().fences, cache.stats().max_fences, cache.stats().fenced), (2, 2, 1));
    // Forgetting what came before a clear does not lift the fence that the clear raised.
    let during = cache.fence(0);
    cache.clear(0);
    for other in ["y", "z"] {
        cache.invalidate(0, &Invalidate::Key(key(other)));
    }
    assert_eq!(cache.insert(0, during, &key("a"), None, at(1), Source::Demand), Inserted::Fenced);
    // A fence of a cache that lived before this one is of no use here.
    let mut fresh = LocalCache::new(CacheConfig::default());
    assert_eq!(fresh.insert(0, newer, &key("a"), None, at(1), Source::Demand), Inserted::Fenced);
}

#[test]
fn own_writes_are_never_undone() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 5);
    let before = cache.fence(0);
    cache.wrote(&key("a"), 8);
    assert_eq!(cache.get(0, &key("a"), ANY), Lookup::Miss);
    let outcome = cache.insert(1, before, &key("a"), keymap("a", 5, &[]), at(7), Source::Demand);
    assert_eq!(outcome, Inserted::Fenced);
    assert_eq!(put(&mut cache, 1, "a", 5, 7), Inserted::Outdated, "asked for afterwards, from a tier that is behind");
    assert_eq!(put(&mut cache, 1, "a", 8, 7), Inserted::Covered, "its own version proves that it is included");
    cache.wrote(&key("a"), 8);
    assert_eq!(version(&cache.get(1, &key("a"), ANY)), Some(8), "not older than the write");
    cache.clear(0);
    assert_eq!(put(&mut cache, 2, "a", 5, 7), Inserted::Outdated);
}

#[test]
fn an_answer_that_is_fenced_still_drops_what_it_proves_outdated() {
    let mut cache = cache();
    let fence = cache.fence(0);
    cache.wrote(&key("a/b"), 5);
    put(&mut cache, 1, "a/b", 5, 5);
    // Asked for before the own write, read after somebody else's.
    let newer = cache.insert(2, fence, &key("a/b"), keymap("a/b", 9, &[]), at(9), Source::Demand);
    assert_eq!((newer, cache.get(2, &key("a/b"), ANY)), (Inserted::Fenced, Lookup::Miss));
    put(&mut cache, 3, "a/b", 9, 9);
    let older = cache.insert(4, fence, &key("a/b"), keymap("a/b", 7, &[]), at(8), Source::Demand);
    assert_eq!((older, version(&cache.get(4, &key("a/b"), ANY))), (Inserted::Fenced, Some(9)));
}

#[test]
fn nothing_older_replaces_anything_newer() {
    let mut cache = cache();
    put(&mut cache, 100, "a", 9, 9);
    assert_eq!(put(&mut cache, 100, "a", 5, 7), Inserted::Superseded);
    assert_eq!(version(&cache.get(100, &key("a"), ANY)), Some(9));
    // The same version again makes the entry younger.
    assert_eq!(put(&mut cache, 300, "a", 9, 9), Inserted::Superseded);
    assert!(cache.contains_fresh(300, &key("a"), 0));
    assert_eq!(put(&mut cache, 200, "a", 12, 12), Inserted::Covered);
    assert_eq!(version(&cache.get(300, &key("a"), ANY)), Some(12));
    assert_eq!(cache.stats().entries, 1);
    assert_eq!(cache.take_evicted(), [], "an update is no loss");
}

#[test]
fn revalidation_makes_an_entry_younger() {
    let mut cache = cache();
    put(&mut cache, 0, "a", 5, 5);
    cache.reset_shard(1);
    let (early, point) = (cache.fence(5_000), ReadPoint { shard: 1, position: 30, age_ms: 40 });
    assert!(!cache.refresh(early, &key("a"), 4, point, Source::Demand), "another version");
    assert!(!cache.refresh(early, &key("b"), 5, point, Source::Demand), "not cached");
    assert!(cache.refresh(early, &key("a"), 5, point, Source::Demand));
    assert!(cache.contains_fresh(5_100, &key("a"), 140));
    cache.cover(&at(30), 5_090);
    assert!(cache.contains_fresh(5_100, &key("a"), 10), "and covered again");
    let behind = ReadPoint { shard: 1, position: 4, age_ms: 4_000 };
    assert!(cache.refresh(early, &key("a"), 5, behind, Source::Demand));
    assert!(cache.contains_fresh(5_100, &key("a"), 10), "no less than before");
    assert!(!cache.contains_fresh(5_100, &key("a"), 9));
    cache.invalidate(0, &Invalidate::Key(key("a")));
    put(&mut cache, 6_000, "a", 5, 31);
    assert!(!cache.refresh(early, &key("a"), 5, point, Source::Demand), "overtaken by an invalidation");
    cache.apply_change(&change("a", 31));
    let fence = cache.fence(7_000);
    assert!(
        !cache.refresh(fence, &key("a"), 5, ReadPoint { shard: 2, position: 40, age_ms: 0 }, Source::Demand),
        "another shard"
    );
    assert!(cache.refresh(fence, &key("a"), 5, at(31), Source::Demand));
}

#[test]
fn negative_entries_have_a_short_life() {
    let mut cache = cache();
    let fence = cache.fence(0);
    assert_eq!(cache.insert(100, fence, &key("a"), None, at(5), Source::Demand), Inserted::Covered);
    cache.cover(&at(5), 5_099);
    assert!(matches!(cache.get(5_099, &key("a"), 0), Lookup::Hit(hit) if hit.keymap.is_none()));
    assert_eq!(cache.peek(5_100, &key("a"), ANY), Lookup::Miss);
    assert_eq!(cache.stats().entries, 1, "a peek has no effect");
    assert_eq!(cache.get(5_100, &key("a"), ANY), Lookup::Miss);
    assert_eq!(cache.take_evicted()[0].reason, DropReason::Expired);
    assert_eq!((cache.stats().entries, cache.stats().negative_hits), (0, 1));
    let fence = cache.fence(0);
    cache.insert(100, fence, &key("a"), None, at(6), Source::Demand);
    assert!(cache.apply_change(&change("a", 7)), "a creation ends it at once");
}

#[test]
fn prefixes_and_tags_drop_exactly_what_they_name() {
    let mut cache = cache();
    for text in ["user/1", "user/1/a", "user/1/b/c", "user/1!", "user/10", "user/0", "usher/1"] {
        let fence = cache.fence(0);
        let tags: &[&str] = if text.len() > 7 { &["long", "x"] } else { &["x"] };
        cache.insert(0, fence, &key(text), keymap(text, 1, tags), at(1), Source::Demand);
    }
    assert_eq!((cache.stats().indexed_keys, cache.stats().indexed_tags), (7, 9));
    assert_eq!(cache.invalidate(0, &Invalidate::Prefix(KeyPrefix::parse("user/1").unwrap())), 3);
    assert_eq!(cache.invalidate(0, &Invalidate::Prefix(KeyPrefix::parse("user/1").unwrap())), 0);
    for (text, there) in [("user/1", false), ("user/1/b/c", false), ("user/1!", true), ("user/10", true)] {
        assert_eq!(cache.contains_fresh(0, &key(text), 0), there, "{text}");
    }
    assert_eq!(cache.invalidate(0, &Invalidate::Tag("long".into())), 0, "those were below user/1");
    assert_eq!(cache.invalidate(0, &Invalidate::Key(key("user/10"))), 1);
    assert_eq!(cache.invalidate(0, &Invalidate::Tag("x".into())), 3);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes, stats.indexed_keys, stats.indexed_tags), (0, 0, 0, 0));
    assert_eq!((stats.invalidations, cache.cursors().len()), (7, 0));
    put(&mut cache, 0, "z", 1, 1);
    assert_eq!(cache.invalidate(0, &Invalidate::All), 1);
}

#[test]
fn replacing_a_value_replaces_its_tags() {
    let mut cache = cache();
    for (version, tag, source) in [(1, "red", Source::Demand), (2, "blue", Source::Prefetch)] {
        let fence = cache.fence(0);
        cache.insert(0, fence, &key("a"), keymap("a", version, &[tag]), at(version), source);
    }
    assert_eq!(cache.stats().indexed_tags, 1);
    assert_eq!(cache.invalidate(0, &Invalidate::Tag("red".into())), 0);
    assert_eq!(cache.invalidate(0, &Invalidate::Tag("blue".into())), 1);
    assert_eq!(cache.cursors(), []);
}

#[test]
fn every_prefetch_has_one_outcome() {
    let mut cache = LocalCache::new(CacheConfig { max_entries: 100, ..CacheConfig::default() });
    assert_eq!(guess(&mut cache, "used"), Inserted::Covered);
    let first_use = |lookup| matches!(lookup, Lookup::Hit(Hit { first_use: true, .. }));
    assert!(first_use(cache.peek(0, &key("used"), 0)));
    assert!(first_use(cache.get(0, &key("used"), 0)));
    assert!(!first_use(cache.get(0, &key("used"), 0)));
    assert_eq!(cache.stats().probation_entries, 0);
    for text in ["invalidated", "changed", "replaced", "renewed", "same"] {
        guess(&mut cache, text);
    }
    cache.invalidate(0, &Invalidate::Key(key("invalidated")));
    cache.apply_change(&change("changed", 2));
    put(&mut cache, 0, "replaced", 2, 2);
    let fence = cache.fence(0);
    cache.insert(0, fence, &key("renewed"), keymap("renewed", 2, &[]), at(2), Source::Prefetch);
    put(&mut cache, 0, "same", 1, 2);
    for n in 0..99 {
        guess(&mut cache, &format!("scan/{n}"));
    }
    let reports = cache.take_evicted();
    let of = |text: &str| {
        let found: Vec<_> = reports.iter().filter(|e| e.key.as_str() == text && e.unused_prefetch).collect();
        found.iter().map(|e| e.reason).collect::<Vec<_>>()
    };
    assert_eq!(of("used"), []);
    assert_eq!(of("invalidated"), [DropReason::Invalidated]);
    assert_eq!(of("changed"), [DropReason::Changed]);
    assert_eq!(of("replaced"), [DropReason::Replaced]);
    assert_eq!(of("same"), [DropReason::Replaced]);
    assert_eq!(of("renewed"), [DropReason::Capacity]);
}

#[test]
fn ten_thousand_wrong_guesses_evict_no_proven_entry() {
    for (proven, max_entries, max_bytes) in
        [(1_000, 1_000, 8 << 20), (700, 1_000, 8 << 20), (150, usize::MAX, 100_000), (500, usize::MAX, 8 << 20)]
    {
        let mut cache = LocalCache::new(CacheConfig { max_entries, max_bytes, ..CacheConfig::default() });
        for n in 0..proven {
            put(&mut cache, 0, &format!("proven/{n}"), 1, 1);
        }
        let before: Vec<_> = (0..proven).filter(|n| cache.contains_fresh(0, &key(&format!("proven/{n}")), 0)).collect();
        for n in 0..10_000 {
            guess(&mut cache, &format!("guess/{n}"));
            let stats = cache.stats();
            assert!(stats.bytes <= max_bytes && stats.entries <= max_entries);
        }
        for n in &before {
            assert!(cache.contains_fresh(0, &key(&format!("proven/{n}")), 0), "{n} of {max_entries}, {max_bytes}");
        }
        let stats = cache.stats();
        assert_eq!(stats.entries - stats.probation_entries, before.len());
        assert!(stats.evicted_pending <= stats.max_evicted_pending);
        let lost = cache.take_evicted().len() as u64 + stats.evicted_unreported;
        assert_eq!(lost, stats.evictions);
    }
}

#[test]
fn what_cannot_be_cached_is_refused() {
    let mut cache = LocalCache::new(CacheConfig { max_bytes: 8_000, ..CacheConfig::default() });
    assert_eq!(put(&mut cache, 0, "a", 1, 1), Inserted::Covered);
    let mut large = keymap("a", 2, &[]).unwrap();
    Arc::make_mut(&mut large).fields.locator = "x".repeat(1_000);
    let fence = cache.fence(0);
    assert_eq!(cache.insert(0, fence, &key("a"), Some(large), at(2), Source::Demand), Inserted::TooLarge);
    assert_eq!(cache.peek(0, &key("a"), ANY), Lookup::Miss, "the older version went, too");
    assert_eq!(cache.insert(0, fence, &key("b"), keymap("a", 2, &[]), at(2), Source::Demand), Inserted::Mismatch);
    assert!(Inserted::Superseded.is_held() && !Inserted::TooLarge.is_held());
    for (max_bytes, max_entries) in [(0, 9), (8_000, 0)] {
        let mut off = LocalCache::new(CacheConfig { max_bytes, max_entries, ..CacheConfig::default() });
        assert_eq!(put(&mut off, 0, "a", 1, 1), Inserted::Off);
        assert_eq!(off.get(0, &key("a"), ANY), Lookup::Miss);
    }
}

#[test]
fn statistics_serialize() {
    let json = serde_json::to_value(cache().stats()).unwrap();
    assert_eq!(json["maxEntries"], serde_json::Value::Null);
    assert_eq!(json["maxBytes"], 8 << 20);
}
