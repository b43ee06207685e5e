use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::prefetch::Prediction;

/// What may be wasted before any request has earned it: enough to look at several prefetches at once.
const CREDIT: u32 = 20;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn engine() -> PrefetchEngine {
    PrefetchEngine::new(PrefetchConfig { credit: CREDIT, ..PrefetchConfig::default() })
}

/// The smallest client: a first-in-first-out cache in which prefetches land at once.
struct Client {
    engine: PrefetchEngine,
    cached: VecDeque<(CompositeKey, bool)>,
    capacity: usize,
    now: Millis,
    hits: u64,
    prefetches: Vec<PrefetchRequest>,
}

impl Client {
    fn new(engine: PrefetchEngine, capacity: usize) -> Self {
        Self { engine, cached: VecDeque::new(), capacity, now: 0, hits: 0, prefetches: Vec::new() }
    }

    fn insert(&mut self, key: CompositeKey, prefetched: bool) {
        self.cached.push_back((key, prefetched));
        while self.cached.len() > self.capacity {
            if let Some((gone, true)) = self.cached.pop_front() {
                self.engine.handle_outcome(self.now, &gone, PrefetchOutcome::Wasted);
            }
        }
    }

    /// Returns the prefetches that the request led to.
    fn get(&mut self, stream: &str, text: &str) -> Vec<PrefetchRequest> {
        self.now += 1;
        let key = key(text);
        let access = match self.cached.iter_mut().find(|(cached, _)| *cached == key) {
            Some((_, prefetched)) => {
                self.hits += 1;
                if std::mem::take(prefetched) {
                    self.engine.handle_outcome(self.now, &key, PrefetchOutcome::Used);
                    Access::FirstUse
                } else {
                    Access::Hit
                }
            }
            None => {
                self.insert(key.clone(), false);
                Access::Miss
            }
        };
        let Self { engine, cached, prefetches, .. } = self;
        prefetches.clear();
        let mut skip = |key: &CompositeKey| cached.iter().any(|(cached, _)| cached == key);
        engine.handle_access(self.now, stream, &key, access, &mut skip, prefetches);
        let prefetches = std::mem::take(&mut self.prefetches);
        for prefetch in &prefetches {
            self.insert(prefetch.key.clone(), true);
        }
        prefetches
    }
}

/// Outcomes that were requests for nothing.
const SPENT: [PrefetchOutcome; 4] =
    [PrefetchOutcome::Wasted, PrefetchOutcome::Harmful, PrefetchOutcome::Missing, PrefetchOutcome::Failed];

/// Proposes a keymap to the engine, whatever it thinks of it.
fn propose(engine: &mut PrefetchEngine, now: Millis, key: &CompositeKey, confidence: f32) -> Verdict {
    let worth = engine.confidence.worth(confidence).stated(confidence);
    let (id, issued) = (engine.analyzer.id(key), engine.moment(0));
    engine.prefetch_keymap(now, &PrefetchCandidate { key, id, worth, expert: Expert::Order1, issued })
}

/// Lets a prefetch take eight requests, so that the engine learns to look further ahead.
fn come_late(engine: &mut PrefetchEngine) {
    let late = key("late");
    assert_eq!(propose(engine, 0, &late, 0.99), Verdict::Fetch);
    for n in 0..8 {
        engine.handle_access(0, "other", &key(&format!("other/{n}")), Access::Miss, &mut |_| true, &mut Vec::new());
    }
    engine.handle_arrival("", &late);
    engine.handle_outcome(0, &late, PrefetchOutcome::Used);
    assert_eq!(engine.stats().delay_requests, 8.0);
}

fn far_sighted() -> PrefetchEngine {
    PrefetchEngine::new(PrefetchConfig { max_depth: 16, ..PrefetchConfig::default() })
}

/// Deterministic noise (xorshift64; Marsaglia, 2003).
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A word that no template makes from the one before.
fn word(n: usize) -> String {
    let mut state = 77 + n as u64;
    let mut letter = || char::from(b'a' + (noise(&mut state) >> 40) as u8 % 26);
    (0..9).map(|_| letter()).collect()
}

#[test]
fn a_repeated_sequence_is_hit_after_three_passes() {
    let mut client = Client::new(engine(), 10);
    let mut hits = Vec::new();
    for _ in 0..6 {
        client.hits = 0;
        for n in 0..40 {
            client.get("s", &word(n));
        }
        hits.push(client.hits);
    }
    assert_eq!(hits[0], 0, "a cache of 10 never holds a cycle of 40 by itself");
    assert!(hits[3] >= 36 && hits[5] >= 38, "{hits:?}");
}

#[test]
fn keys_never_seen_are_hit_by_their_structure() {
    let mut client = Client::new(engine(), 10);
    let mut hits = 0;
    for user in 0..200_u64 {
        let id = user * 7_919 % 90_000 + 10_000;
        client.hits = 0;
        for what in ["profile", "avatar", "settings"] {
            client.get("s", &format!("user/{id}/{what}"));
        }
        hits += if user >= 100 { client.hits } else { 0 };
    }
    // The first key of each user cannot be known.
    assert!(hits >= 190, "{hits} of 200");
    assert!(client.engine.stats().precision > 0.8, "{:?}", client.engine.stats());
}

#[test]
fn a_certain_chain_is_ordered_far_ahead_best_first_where_orders_come_late() {
    let mut client = Client::new(far_sighted(), 60);
    for _ in 0..30 {
        for n in 0..100 {
            client.get("s", &format!("page/{n}"));
        }
    }
    // A client elsewhere, with nothing cached, asks for one key of the chain.
    let mut prefetches = Vec::new();
    let mut engine = client.engine;
    engine.handle_access(0, "near", &key("page/10"), Access::Miss, &mut |_| false, &mut prefetches);
    assert!(prefetches.len() <= 6 && prefetches.iter().all(|prefetch| prefetch.depth == 1), "nothing was late");
    prefetches.clear();
    let mut client = Client::new(engine, 60);
    come_late(&mut client.engine);
    client.engine.handle_access(0, "new", &key("page/50"), Access::Miss, &mut |_| false, &mut prefetches);
    assert!(prefetches.len() >= 8, "{}", prefetches.len());
    assert!(prefetches.len() <= PrefetchConfig::default().max_orders);
    assert!(prefetches.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence));
    assert_eq!(prefetches.iter().map(|prefetch| prefetch.depth).max(), Some(prefetches.len() as u8));
}

#[test]
fn the_walk_goes_on_through_what_is_cached() {
    let mut client = Client::new(far_sighted(), 60);
    for _ in 0..30 {
        for n in 0..100 {
            client.get("s", &format!("page/{n}"));
        }
    }
    come_late(&mut client.engine);
    let near: BTreeSet<CompositeKey> = (51..54).map(|n| key(&format!("page/{n}"))).collect();
    let mut prefetches = Vec::new();
    client.engine.handle_access(
        0,
        "new",
        &key("page/50"),
        Access::Miss,
        &mut |key| near.contains(key),
        &mut prefetches,
    );
    assert!(
        prefetches.iter().any(|prefetch| prefetch.depth > 3)
            && prefetches.iter().all(|prefetch| !near.contains(&prefetch.key))
    );
}

#[test]
fn prefetching_recovers_from_an_outage() {
    let mut engine = engine();
    let (mut issued, mut prefetches) = (0, Vec::new());
    for n in 0..30_000_usize {
        let text = word(n % 200);
        engine.handle_access(n as Millis, "s", &key(&text), Access::Miss, &mut |_| false, &mut prefetches);
        issued += if n >= 25_000 { prefetches.len() } else { 0 };
        let outcome = match n {
            0..2_000 => PrefetchOutcome::Failed,
            2_000..4_000 => PrefetchOutcome::Wasted,
            _ => PrefetchOutcome::Used,
        };
        for prefetch in prefetches.drain(..) {
            engine.handle_arrival("s", &prefetch.key);
            engine.handle_outcome(n as Millis, &prefetch.key, outcome);
        }
    }
    assert!(issued > 2_000, "{issued} prefetches in the last 5,000 requests");
}

#[test]
fn orders_that_are_joined_in_flight_are_worth_their_while_and_overtaken_ones_are_not() {
    let run = |outcome| {
        let mut engine = engine();
        let (mut open, mut issued) = (Vec::<PrefetchRequest>::new(), 0);
        for n in 0..12_000_usize {
            let (text, mut prefetches) = (word(n % 200), Vec::new());
            // Every prefetch is still in flight when its key is asked for.
            if let Some(at) = open.iter().position(|prefetch| prefetch.key == key(&text)) {
                engine.handle_outcome(n as Millis, &open.swap_remove(at).key, outcome);
            }
            engine.handle_access(n as Millis, "s", &key(&text), Access::Late, &mut |_| false, &mut prefetches);
            issued += if n >= 8_000 { prefetches.len() } else { 0 };
            open.extend(prefetches);
        }
        assert!(engine.stats().delay_requests >= 1.0, "{:?}", engine.stats());
        issued
    };
    let (joined, overtaken) = (run(PrefetchOutcome::Late), run(PrefetchOutcome::Overtaken));
    assert!(joined > 3_000 && overtaken < 1_500, "{joined} {overtaken} of 4,000");
}

#[test]
fn orders_written_off_are_not_in_flight() {
    let engine = engine();
    let mut ledger = Ledger::new(2);
    let worth = engine.confidence.worth(0.5);
    let issued = engine.moment(0);
    let ids: Vec<KeyId> = ["a", "b", "c", "d"].map(|text| engine.analyzer.id(&key(text))).into();
    for &id in &ids {
        ledger.issue(id, Outstanding { worth, expert: Expert::Order1, issued, landed: None });
    }
    assert_eq!((ledger.outstanding(), ledger.in_flight(), ledger.outcomes().wasted), (2, 2, 2));
    assert!(ledger.land(1, ids[2]).is_some() && ledger.land(1, ids[2]).is_none() && ledger.land(1, ids[0]).is_none());
    assert_eq!(ledger.in_flight(), 1);
    for &id in &ids[2..] {
        ledger.close(2, id, PrefetchOutcome::Used);
    }
    assert_eq!(ledger.in_flight(), 0);
}

#[test]
fn uniform_noise_orders_almost_nothing() {
    let mut client = Client::new(engine(), 100);
    let mut state = 0x1234_5678;
    for _ in 0..20_000 {
        let n = noise(&mut state) % 5_000;
        client.get("s", &format!("noise/{n}"));
    }
    let stats = client.engine.stats();
    assert!(stats.confidence.predictions > 10_000, "{stats:?}");
    assert!(stats.issued <= 20, "{stats:?}");
    assert!(stats.confidence.calibration_error < 0.02, "{stats:?}");
}

#[test]
fn a_changed_pattern_is_learnt_again() {
    let mut client = Client::new(engine(), 10);
    for _ in 0..30 {
        for n in 0..30 {
            client.get("s", &format!("k/{n}"));
        }
    }
    client.hits = 0;
    // The same keys backwards: what was certain is wrong.
    for pass in 0..40 {
        if pass == 30 {
            client.hits = 0;
        }
        for n in (0..30).rev() {
            client.get("s", &format!("k/{n}"));
        }
    }
    assert!(client.hits >= 280, "{} of 300", client.hits);
}

#[test]
fn predictions_and_explanations_name_the_next_key() {
    let mut client = Client::new(engine(), 2);
    for _ in 0..10 {
        for text in ["a", "b", "c", "d", "e", "f"] {
            client.get("s", text);
        }
    }
    let next = client.engine.predictions_of_stream("s");
    // The next key and the one after it are as certain.
    let is_near = |next: &[Prediction], text| next[..2].iter().any(|prediction| prediction.key == key(text));
    assert!(is_near(&next, "a"), "{next:?}");
    assert!(is_near(&client.engine.predictions_after(&key("b")), "c"));
    assert!(next.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence));
    assert!(client.engine.predictions_of_stream("unknown").is_empty());
    assert!(client.engine.predictions_after(&key("unknown")).is_empty());
    let why = client.engine.explain(client.now, &key("a")).expect("predicted just now");
    assert!(why.confidence > 0.0 && why.threshold == client.engine.threshold() && !why.missing);
    assert_eq!(client.engine.explain(client.now, &key("unknown")), None);
}

#[test]
fn below_the_threshold_is_logged_and_never_fetched() {
    let mut engine = PrefetchEngine::new(PrefetchConfig { threshold: 0.3, ..PrefetchConfig::default() });
    let (target, now) = (key("x"), 77);
    let threshold = engine.threshold();
    assert_eq!(propose(&mut engine, now, &target, threshold), Verdict::Logged(FailureReason::BelowThreshold));
    let logged: Vec<&Failure> = engine.failures().collect();
    let reason = FailureReason::BelowThreshold;
    let expected =
        Failure { key: target.clone(), confidence: threshold, threshold, expert: Expert::Order1, reason, at: now };
    assert_eq!(logged, [&expected]);
    assert_eq!(propose(&mut engine, now, &target, 0.99), Verdict::Fetch);
    assert_eq!(propose(&mut engine, now, &target, 0.99), Verdict::Outstanding);
    assert_eq!(propose(&mut engine, now, &key("y"), f32::NAN), Verdict::Logged(FailureReason::BelowThreshold));
}

#[test]
fn beyond_the_budget_is_logged() {
    let mut engine = engine();
    let verdicts: Vec<Verdict> = (0..=CREDIT).map(|n| propose(&mut engine, 0, &key(&format!("k/{n}")), 0.99)).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Fetch).count() as u32, CREDIT);
    assert_eq!(verdicts.last(), Some(&Verdict::Logged(FailureReason::Budget)));
    // A cancelled prefetch and a used one make room; a wasted one does not.
    for (at, outcome, room) in
        [(0, PrefetchOutcome::Wasted, false), (1, PrefetchOutcome::Refunded, true), (2, PrefetchOutcome::Used, true)]
    {
        engine.handle_outcome(0, &key(&format!("k/{at}")), outcome);
        let verdict = propose(&mut engine, 0, &key(&format!("other/{at}")), 0.99);
        assert_eq!(verdict == Verdict::Fetch, room, "{outcome:?}");
    }
}

#[test]
fn every_outcome_is_counted_once_and_frees_its_place() {
    let mut engine = engine();
    let outcomes = [
        PrefetchOutcome::Used,
        PrefetchOutcome::Late,
        PrefetchOutcome::Wasted,
        PrefetchOutcome::Harmful,
        PrefetchOutcome::Refunded,
        PrefetchOutcome::Missing,
        PrefetchOutcome::Failed,
        PrefetchOutcome::Used,
    ];
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let key = key(&format!("k/{n}"));
        assert_eq!(propose(&mut engine, 0, &key, 0.9), Verdict::Fetch);
        engine.handle_outcome(5, &key, outcome);
        engine.handle_outcome(5, &key, outcome);
    }
    engine.handle_outcome(5, &key("never issued"), PrefetchOutcome::Wasted);
    let stats = engine.stats();
    let counted = [stats.used, stats.late, stats.wasted, stats.harmful, stats.refunded, stats.missing, stats.failed];
    assert_eq!((counted, stats.issued, stats.outstanding), ([2, 1, 1, 1, 1, 1, 1], 8, 0));
    assert_eq!(stats.budget_left, f64::from(CREDIT) - 4.0);
    let reasons: Vec<FailureReason> = engine.failures().map(|failure| failure.reason).collect();
    assert_eq!(
        reasons,
        [
            FailureReason::Late,
            FailureReason::Unused,
            FailureReason::Harmful,
            FailureReason::Missing,
            FailureReason::Failed
        ]
    );
}

#[test]
fn a_key_that_does_not_exist_is_not_ordered_again_soon() {
    let mut engine = engine();
    let pass = |engine: &mut PrefetchEngine, now: Millis, gone: &CompositeKey| {
        let mut prefetches = Vec::new();
        for text in ["a", "gone", "b", "c"] {
            engine.handle_access(now, "s", &key(text), Access::Miss, &mut |key| key != gone, &mut prefetches);
        }
        prefetches.len()
    };
    let gone = key("gone");
    let mut now = 0;
    while pass(&mut engine, now, &gone) == 0 {
        now += 1;
        assert!(now < 100, "learnt by now");
    }
    engine.handle_outcome(now, &gone, PrefetchOutcome::Missing);
    for _ in 0..50 {
        assert_eq!(pass(&mut engine, now, &gone), 0);
    }
    assert!(engine.stats().suppressed == 1 && engine.stats().missing == 1);
    assert!(pass(&mut engine, now + MISSING_FOR, &gone) > 0);
}

#[test]
fn caution_off_and_a_zero_budget_order_nothing_but_learning_goes_on() {
    for (budget, caution) in [(0.25, Caution::Off), (0.0, Caution::Normal)] {
        let config = PrefetchConfig { waste_budget: budget, ..PrefetchConfig::default() };
        let mut engine = PrefetchEngine::new(config);
        engine.set_caution(caution);
        let mut client = Client::new(engine, 5);
        for n in 0..400 {
            assert!(client.get("s", &format!("k/{}", n % 20)).is_empty());
        }
        let stats = client.engine.stats();
        assert!(stats.issued == 0 && stats.confidence.predictions > 0, "{stats:?}");
    }
}

#[test]
fn a_disabled_engine_keeps_nothing() {
    let mut client = Client::new(PrefetchEngine::new(PrefetchConfig { enabled: false, ..Default::default() }), 5);
    for n in 0..100 {
        client.get("s", &format!("k/{}", n % 20));
    }
    let stats = client.engine.stats();
    assert_eq!((stats.requests, stats.analyzer.keys, stats.analyzer.lines), (0, 0, 0));
}

#[test]
fn memory_and_the_log_stay_within_their_bounds() {
    let mut config = PrefetchConfig { failure_log: 10, ..PrefetchConfig::default() };
    config.analyzer.memory_bytes = 1;
    let mut client = Client::new(PrefetchEngine::new(config), 50);
    let long = "x".repeat(900);
    let mut state = 99;
    for n in 0..20_000_u64 {
        let stream = format!("stream {}", n / 10);
        let text = if n % 10 == 0 { format!("{long}/{n}") } else { format!("hot/{}", noise(&mut state) % 30) };
        for prefetch in client.get(&stream, &text) {
            if n % 3 == 0 {
                client.engine.handle_outcome(n, &prefetch.key, PrefetchOutcome::Missing);
            }
        }
    }
    let stats = client.engine.stats();
    assert_eq!(stats.memory_max, PrefetchConfig::MIN_MEMORY);
    assert!(stats.memory_bytes <= stats.memory_max, "{stats:?}");
    assert!(stats.failure_log == 10 && client.engine.failures().count() == 10, "{stats:?}");
    assert!(stats.issued > 0 && stats.missing > 0 && stats.analyzer.lines > 0, "{stats:?}");
    assert!(stats.outstanding <= stats.outstanding_max && stats.suppressed <= stats.suppressed_max);
}

#[test]
fn same_seed_same_orders() {
    let run = || {
        let mut client = Client::new(engine(), 40);
        let mut state = 5;
        let mut all = Vec::new();
        for n in 0..5_000_u64 {
            let jump = noise(&mut state) % 10 < 1;
            let at = if jump { noise(&mut state) % 100 } else { n % 100 };
            all.extend(client.get(&format!("s{}", n % 3), &format!("k/{at}")));
        }
        (all, serde_json::to_string(&client.engine.stats()).expect("numbers only"))
    };
    let (first, second) = (run(), run());
    assert!(!first.0.is_empty());
    assert_eq!(first, second);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn outcome(choice: u8) -> PrefetchOutcome {
        [
            PrefetchOutcome::Used,
            PrefetchOutcome::Late,
            PrefetchOutcome::Wasted,
            PrefetchOutcome::Harmful,
            PrefetchOutcome::Refunded,
            PrefetchOutcome::Missing,
            PrefetchOutcome::Failed,
        ][usize::from(choice) % 7]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever outcomes the prefetches meet, and in whatever order, waste never exceeds what was allowed, at no
        /// prefix of the run; and so neither if everything outstanding were wasted.
        #[test]
        fn the_budget_holds_at_every_prefix(
            steps in prop::collection::vec((0_u8..12, 0_u8..3, any::<u8>(), any::<u8>()), 50..600),
            budget in prop_oneof![Just(0.0), 0.01_f64..1.0],
            hostile in any::<bool>(),
        ) {
            let config = PrefetchConfig { waste_budget: budget, threshold: 0.0, ..Default::default() };
            let mut engine = PrefetchEngine::new(config);
            let mut open: Vec<CompositeKey> = Vec::new();
            let (mut wasted, mut prefetches) = (0_u64, Vec::new());
            for (at, (page, stream, closes, choice)) in steps.into_iter().enumerate() {
                let text = key(&format!("k/{page}"));
                engine.handle_access(at as Millis, &format!("s{stream}"), &text, Access::Miss, &mut |_| false, &mut prefetches);
                for prefetch in prefetches.drain(..) {
                    prop_assert!(!open.contains(&prefetch.key), "issued twice");
                    open.push(prefetch.key);
                }
                let allowed = budget * (at + 1) as f64 + f64::from(PrefetchConfig::default().credit);
                prop_assert!(wasted as f64 + open.len() as f64 <= allowed, "{wasted} + {} > {allowed}", open.len());
                for _ in 0..closes % 4 {
                    if open.is_empty() {
                        break;
                    }
                    let key = open.swap_remove(usize::from(choice) % open.len());
                    let outcome = if hostile { PrefetchOutcome::Wasted } else { outcome(choice) };
                    wasted += u64::from(SPENT.contains(&outcome));
                    engine.handle_outcome(at as Millis, &key, outcome);
                }
            }
            prop_assert_eq!(engine.stats().outstanding, open.len());
        }
    }
}

#[test]
fn private_caches_have_orders_of_their_own() {
    let prefetches = |private_caches: bool| {
        let mut engine = PrefetchEngine::new(PrefetchConfig { private_caches, ..PrefetchConfig::default() });
        let mut ask = |stream: &str, text: &str| {
            let mut prefetches = Vec::new();
            engine.handle_access(0, stream, &key(text), Access::Miss, &mut |_| false, &mut prefetches);
            for prefetch in &prefetches {
                if stream.starts_with("learnt") {
                    engine.handle_outcome_of(stream, 0, &prefetch.key, PrefetchOutcome::Used);
                }
            }
            prefetches.len()
        };
        for pass in 0..40 {
            ask(&format!("learnt{pass}"), "a/1");
            ask(&format!("learnt{pass}"), "a/2");
        }
        let issued = [ask("x", "a/1"), ask("y", "a/1"), ask("y", "a/1")];
        engine.handle_outcome_of("x", 0, &key("a/2"), PrefetchOutcome::Used);
        (issued, engine.stats().outstanding)
    };
    assert_eq!(prefetches(true), ([1, 1, 0], 1), "counts are pooled, prefetches are not");
    assert_eq!(prefetches(false), ([1, 0, 0], 0));
}
