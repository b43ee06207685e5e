use super::*;

fn queues(max_entries: usize, max_bytes: usize) -> Queues {
    Queues::new(&CacheConfig { max_entries, max_bytes, ..CacheConfig::default() })
}

fn entry(number: u64, cost: usize, guess: bool) -> QueueEntry {
    QueueEntry {
        key: CompositeKey::from_components([format!("k{number}").as_str()]).unwrap(),
        value: None,
        shard: 0,
        position: 0,
        as_of: 0,
        covered: None,
        expires_at: Millis::MAX,
        unused_prefetch: guess,
        uses: 0,
        cost,
    }
}

fn demand(queues: &mut Queues, ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.flat_map(|id| queues.put_demanded(id, entry(id, 1, false))).map(|(id, _)| id).collect()
}

fn guess(queues: &mut Queues, ids: std::ops::Range<u64>) -> Vec<u64> {
    ids.flat_map(|id| queues.put_guess(id, entry(id, 1, true)).1).map(|(id, _)| id).collect()
}

fn proven(queues: &Queues, ids: std::ops::Range<u64>) -> usize {
    ids.filter(|&id| queues.is_proven(id)).count()
}

#[test]
fn without_guesses_proven_entries_have_the_whole_capacity_and_a_scan_passes_by() {
    let mut q = queues(100, usize::MAX);
    assert!(demand(&mut q, 0..100).is_empty());
    for id in (0..40).chain(0..40) {
        q.demand(id);
    }
    q.demand(41);
    // Asked for twice more: passed on. Once more is not enough.
    assert_eq!(demand(&mut q, 100..102), [40, 41]);
    assert_eq!(demand(&mut q, 1_000..11_000).len(), 10_000);
    assert_eq!(proven(&q, 0..40), 40);
    assert!(q.gone().0 <= q.gone().1);
}

#[test]
fn what_is_back_soon_is_not_recent() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..110);
    assert!(!q.is_proven(5));
    demand(&mut q, 5..6);
    demand(&mut q, 1_000..1_200);
    assert!(q.is_proven(5) && !q.is_proven(50));
}

#[test]
fn in_the_main_queue_the_oldest_leaves_unless_it_was_asked_for() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..200);
    // All of these come back, so that the main queue fills up.
    demand(&mut q, 0..100);
    q.demand(20);
    q.demand(60);
    demand(&mut q, 100..140);
    assert_eq!([20, 60, 21].map(|id| q.is_proven(id)), [true, true, false]);
}

#[test]
fn a_guess_is_refused_where_proven_entries_fill_everything() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..100);
    assert!(guess(&mut q, 1_000..11_000).is_empty());
    assert_eq!((proven(&q, 0..100), q.on_probation()), (100, (0, 0)));
}

#[test]
fn probation_gets_its_share_back_from_demands() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..100);
    for step in 0..40 {
        guess(&mut q, 1_000 + step..1_001 + step);
        let left = q.put_demanded(100 + step, entry(100 + step, 1, false));
        assert!(left.len() <= GIVE_BACK + 1, "no demand pays for more than a few");
    }
    assert_eq!((q.proven_len(), q.on_probation().0, q.len()), (70, 30, 100));
}

#[test]
fn a_scan_of_guesses_replaces_only_guesses() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..70);
    assert!(guess(&mut q, 1_000..1_030).is_empty());
    assert_eq!(guess(&mut q, 1_030..1_040), Vec::from_iter(1_000..1_010));
    assert_eq!(proven(&q, 0..70), 70);
}

#[test]
fn guesses_may_fill_free_space_and_leave_first_for_a_demand() {
    let mut q = queues(100, usize::MAX);
    guess(&mut q, 1_000..1_100);
    assert_eq!(q.on_probation().0, 100);
    assert_eq!(demand(&mut q, 0..70), Vec::from_iter(1_000..1_070));
    // Now both have their share, and a demand takes from its own.
    assert_eq!(demand(&mut q, 70..71), [0]);
}

#[test]
fn idle_guesses_leave_after_one_turnover() {
    let mut q = queues(100, usize::MAX);
    guess(&mut q, 1_000..1_030);
    demand(&mut q, 0..101);
    assert_eq!(q.on_probation().0, 30, "held while in use");
    demand(&mut q, 101..131);
    assert_eq!((q.on_probation().0, q.proven_len()), (0, 100));
}

#[test]
fn a_demanded_guess_is_proven_and_counts_there() {
    let mut q = queues(100, usize::MAX);
    demand(&mut q, 0..70);
    guess(&mut q, 1_000..1_030);
    let left: Vec<u64> = q.demand(1_005).iter().map(|(id, _)| *id).collect();
    assert_eq!(left, [0], "the main queue stays at its share");
    assert!(q.is_proven(1_005));
    assert!(!q.find(1_005).unwrap().unused_prefetch);
    assert_eq!(q.on_probation(), (29, 29));
}

#[test]
fn bytes_bound_like_entries() {
    let mut q = queues(usize::MAX, 1_000);
    for id in 0..20 {
        q.put_demanded(id, entry(id, 100, false));
        assert!(q.bytes() <= 1_000);
    }
    assert_eq!((q.len(), q.bytes()), (10, 1_000));
    assert!(!q.put_guess(50, entry(50, 1, true)).0, "no free byte, and proven entries do not make room");
    assert_eq!(demand(&mut q, 60..61).len(), 1 + GIVE_BACK);
    assert!(q.put_guess(50, entry(50, 100, true)).0);
    assert!(q.bytes() <= 1_000);
    assert_eq!(q.replace_proven(60, entry(60, 120, true)).len(), 0, "there is room left");
    assert_eq!(q.bytes(), 7 * 100 + 120 + 100);
    assert_eq!(q.remove(60).unwrap().cost, 120);
    assert_eq!(q.drain().len(), 8);
    assert_eq!((q.bytes(), q.len()), (0, 0));
}

#[test]
fn in_a_small_cache_guesses_displace_only_guesses_too() {
    let mut q = queues(10, usize::MAX);
    demand(&mut q, 0..10);
    assert!(guess(&mut q, 100..110).is_empty(), "all proven");
    demand(&mut q, 10..12);
    guess(&mut q, 100..10_100);
    assert_eq!((q.proven_len(), q.on_probation().0), (7, 3));
}

#[test]
fn one_place_is_for_what_was_asked_for() {
    let mut q = queues(1, usize::MAX);
    assert!(q.put_guess(9, entry(9, 1, true)).0, "free so far");
    assert_eq!(demand(&mut q, 0..2), [9, 0]);
    assert!(!q.put_guess(9, entry(9, 1, true)).0);
}

/// Guesses `ahead` keys before each is asked for, never twice the same; returns how many of the last 1,000 were hit.
fn run_of_guesses(q: &mut Queues, ahead: u64) -> usize {
    let mut hits = 0;
    for at in 0..5_000 {
        guess(q, at + ahead..at + ahead + 1);
        if q.find(at).is_some() {
            q.demand(at);
            hits += usize::from(at >= 4_000);
        } else {
            demand(q, at..at + 1);
        }
    }
    hits
}

#[test]
fn probation_grows_where_guesses_left_too_early() {
    let mut q = queues(100, usize::MAX);
    assert_eq!(q.proven_entries, 70);
    // Ten more than its share of places: a fixed one would hit nothing.
    assert!(run_of_guesses(&mut q, 40) > 990);
    assert!((50..=60).contains(&q.proven_entries), "{}", q.proven_entries);
}

#[test]
fn probation_shrinks_where_proven_entries_left_too_early() {
    let mut q = queues(100, usize::MAX);
    let mut guessed = 1_000;
    for round in 0..200 {
        // A loop somewhat longer than the proven entries' room, and guesses that nobody wants.
        for id in 0..75 {
            guess(&mut q, guessed..guessed + 1);
            guessed += 1;
            if q.is_proven(id) {
                q.demand(id);
            } else {
                demand(&mut q, id..id + 1);
            }
        }
        assert!(q.len() <= 100, "{round}");
    }
    assert!((75..=80).contains(&q.proven_entries), "{}", q.proven_entries);
    assert!(proven(&q, 0..75) >= 74);
}

#[test]
fn what_left_is_remembered_up_to_a_bound() {
    for entries in [1, 2, 9, 100] {
        let mut q = queues(entries, usize::MAX);
        for id in 0..2_000 {
            demand(&mut q, id % 37..id % 37 + 1);
            guess(&mut q, 1_000 + id..1_001 + id);
            let (gone, most) = q.gone();
            assert!(gone <= most, "{gone} of {most} with {entries} entries");
        }
        assert!(q.gone().0 > 0 || entries == 100);
    }
}

#[test]
fn odd_shares_are_taken_as_the_nearest_meaning() {
    for (share, main) in [(0.30, 70), (0.0, 100), (-1.0, 100), (f32::NAN, 100), (1.0, 0), (7.0, 0)] {
        let config = CacheConfig { max_entries: 100, probation_share: share, ..CacheConfig::default() };
        assert_eq!(Queues::new(&config).proven_entries, main, "{share}");
    }
}
