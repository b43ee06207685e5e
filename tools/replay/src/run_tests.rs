use std::num::NonZeroUsize;
use std::time::Instant;

use super::*;
use crate::settings::{CacheSize, Latency, Tuning};
use crate::trace::{Request, open};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traces/npm-install.csv.gz");

const SETTINGS: Settings = Settings {
    cache: CacheSize::Share(0.05),
    waste_budget: 0.25,
    models: Models::Pooled,
    memory: 8_000_000,
    latency: Latency::Requests(0),
    tuning: Tuning { threshold: None, max_depth: None, max_orders: None, probation: None },
    series: None,
};

/// A host with a clock.
struct Timed(Instant);

impl Host for Timed {
    fn nanos(&self) -> Option<u64> {
        u64::try_from(self.0.elapsed().as_nanos()).ok()
    }
}

fn rows(trace: &str, settings: &Settings, baselines: &[&str]) -> Vec<Row> {
    let trace = open(trace).expect("a trace");
    let baselines: Vec<Method> = baselines.iter().map(|name| name.parse().expect("a baseline")).collect();
    replay("t", &trace, settings, &baselines, &Timed(Instant::now())).expect("a replay").rows
}

/// Counts by an independent implementation in C++ on the bundled trace under the same rules: method, hit ratio to four
/// digits, prefetches, and those used.
const SHARED: [(&str, f64, u64, u64); 21] = [
    ("lru", 0.1192, 0, 0),
    ("markov1-client-top1-t0.25", 0.5339, 4621, 3559),
    ("markov1-client-top1-t0.50", 0.4781, 3655, 3063),
    ("markov1-client-top3-t0.25", 0.6090, 6173, 4282),
    ("markov1-client-top3-t0.50", 0.5012, 3994, 3270),
    ("markov1-global-top1-t0.25", 0.4824, 4334, 3143),
    ("markov1-global-top1-t0.50", 0.3743, 2878, 2198),
    ("markov1-global-top3-t0.25", 0.5526, 6182, 3863),
    ("markov1-global-top3-t0.50", 0.3989, 3285, 2420),
    ("ppm2-client-top1-t0.25", 0.5856, 4872, 3978),
    ("ppm2-client-top1-t0.50", 0.5716, 4453, 3843),
    ("ppm2-client-top3-t0.25", 0.6349, 5878, 4440),
    ("ppm2-client-top3-t0.50", 0.5868, 4724, 3987),
    ("ppm2-global-top1-t0.25", 0.5180, 4660, 3442),
    ("ppm2-global-top1-t0.50", 0.4632, 3763, 2952),
    ("ppm2-global-top3-t0.25", 0.5762, 6364, 4072),
    ("ppm2-global-top3-t0.50", 0.4881, 4217, 3188),
    ("belady", 0.3494, 0, 0),
    ("oracle1-known", 0.7983, 5679, 5677),
    ("oracle3-known", 0.7982, 5711, 5705),
    ("oracle1", 0.9913, 7290, 7288),
];
/// The same with a cache of 8 keys for each client.
const PRIVATE: [(&str, f64, u64, u64); 20] = [
    ("lru", 0.0024, 0, 0),
    ("markov1-own-top1-t0.25", 0.0025, 17, 1),
    ("markov1-own-top1-t0.50", 0.0025, 17, 1),
    ("markov1-own-top3-t0.25", 0.0025, 17, 1),
    ("markov1-own-top3-t0.50", 0.0025, 17, 1),
    ("markov1-pool-top1-t0.25", 0.4225, 6126, 3507),
    ("markov1-pool-top1-t0.50", 0.3709, 4813, 3076),
    ("markov1-pool-top3-t0.25", 0.5065, 8551, 4215),
    ("markov1-pool-top3-t0.50", 0.4044, 5305, 3362),
    ("ppm2-own-top1-t0.25", 0.0025, 17, 1),
    ("ppm2-own-top1-t0.50", 0.0025, 17, 1),
    ("ppm2-own-top3-t0.25", 0.0025, 17, 1),
    ("ppm2-own-top3-t0.50", 0.0025, 17, 1),
    ("ppm2-pool-top1-t0.25", 0.5066, 6215, 4209),
    ("ppm2-pool-top1-t0.50", 0.4948, 5643, 4111),
    ("ppm2-pool-top3-t0.25", 0.5509, 7671, 4585),
    ("ppm2-pool-top3-t0.50", 0.5108, 5984, 4250),
    ("oracle1-known", 0.7980, 6642, 6642),
    ("oracle3-known", 0.7980, 6648, 6648),
    ("oracle1", 0.9910, 8253, 8253),
];

#[test]
fn baselines_count_what_an_independent_implementation_counts() {
    for (cache, expected) in [(CacheSize::Share(0.05), &SHARED[..]), (CacheSize::Private(8), &PRIVATE[..])] {
        let names: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
        let rows = rows(BUNDLED, &Settings { cache, ..SETTINGS }, &names);
        for (row, (name, hit_ratio, prefetches, used)) in rows[1..].iter().zip(expected) {
            assert_eq!(row.method, *name);
            assert_eq!(format!("{:.4}", row.hit_ratio), format!("{hit_ratio:.4}"), "{name}");
            let count = |share: f64| (share * 8_348.0).round() as u64;
            let issued = count(row.prefetches_per_request);
            assert_eq!((issued, issued - count(row.wasted_per_request)), (*prefetches, *used), "{name}");
        }
    }
}

#[test]
fn a_family_is_its_best_variant_within_the_waste_budget() {
    let hit_ratio = |waste_budget| {
        let row = rows(BUNDLED, &Settings { waste_budget, ..SETTINGS }, &["ppm2"]).remove(1);
        assert_eq!(row.method, "ppm2");
        format!("{:.4} {:.3}", row.hit_ratio, row.wasted_per_request)
    };
    assert_eq!(hit_ratio(0.25), "0.6349 0.172", "ppm2-client-top3-t0.25");
    assert_eq!(hit_ratio(0.10), "0.5868 0.088", "ppm2-client-top3-t0.50");
    assert_eq!(hit_ratio(0.01), "0.5716 0.073", "none is within: the one with least waste");
}

#[test]
fn the_engine_is_replayed_the_same_way_twice_and_within_its_bounds() {
    let all = [CacheSize::Share(0.05), CacheSize::Entries(8), CacheSize::Private(8)];
    for cache in all {
        let settings = Settings { cache, ..SETTINGS };
        let mut twice = [rows(BUNDLED, &settings, &[]).remove(0), rows(BUNDLED, &settings, &[]).remove(0)];
        for row in &mut twice {
            let (mean, p99) = (row.ns_per_access.take(), row.p99_ns.take());
            assert!(mean.is_some_and(|mean| mean > 0.0) && p99.is_some());
        }
        let [row, again] = twice;
        assert_eq!(row, again);
        assert!(row.prefetches_per_request > 0.05 && row.hit_ratio > 0.1, "{row:?}");
        assert!(row.max_budget_excess <= 20.0 && row.wasted_per_request <= 0.26, "{row:?}");
        assert!(row.peak_bytes.is_some_and(|bytes| (100_000..=8_000_000).contains(&bytes)), "{row:?}");
        assert!(row.calibration_error.is_some() && row.calibration_error_issued.is_some());
    }
}

#[test]
fn without_a_budget_nothing_is_prefetched() {
    let row = rows(BUNDLED, &Settings { waste_budget: 0.0, ..SETTINGS }, &[]).remove(0);
    assert_eq!((row.prefetches_per_request, row.precision, row.max_budget_excess), (0.0, None, 0.0));
}

#[test]
fn a_tuned_engine_is_another_one() {
    // Chains are longer than one request only where prefetches take time.
    let late = Settings { latency: Latency::Requests(8), ..SETTINGS };
    let hits = |tuning| rows(BUNDLED, &Settings { tuning, ..late }, &[]).remove(0).prefetches_per_request;
    let none = SETTINGS.tuning;
    let tuned = [
        Tuning { threshold: Some(0.5), ..none },
        Tuning { max_depth: Some(1), ..none },
        Tuning { max_orders: Some(1), ..none },
        Tuning { probation: Some(0.1), ..none },
    ];
    let product = hits(none);
    assert!(tuned.into_iter().all(|tuning| hits(tuning) != product));
    let as_set = Tuning { threshold: Some(PrefetchConfig::default().threshold), ..none };
    assert_eq!(hits(as_set), product);
}

#[test]
fn the_series_holds_every_hit_in_its_window() {
    let of_windows = |window| {
        let row = rows(BUNDLED, &Settings { series: NonZeroUsize::new(window), ..SETTINGS }, &[]).remove(0);
        (row.series.expect("asked for"), row.hit_ratio)
    };
    let ((single, ratio), (hundreds, _)) = (of_windows(1), of_windows(100));
    assert_eq!((single.len(), hundreds.len()), (8_348, 84));
    let summed: Vec<u32> = single.chunks(100).map(|window| window.iter().sum()).collect();
    assert_eq!(summed, hundreds);
    assert_eq!(f64::from(summed.iter().sum::<u32>()) / 8_348.0, ratio);
}

#[test]
fn the_oracle_of_a_workload_foresees_what_its_rules_determine() {
    // A cache of all keys: what an oracle does not get is asked for first, and not determined.
    let settings = Settings { cache: CacheSize::Share(1.0), ..SETTINGS };
    let name = "synthetic:series?requests=5000";
    let trace = open(name).expect("a workload");
    let oracle = rows(name, &settings, &["oracle"]).remove(1);
    assert_eq!(oracle.precision, Some(1.0));
    let known = trace.foreseeable.expect("synthetic");
    let mut seen = std::collections::HashSet::new();
    let novel: Vec<usize> = (0..5_000).filter(|&at| seen.insert(trace.requests[at].key)).collect();
    let foreseen = novel.iter().filter(|&&at| known[at]).count();
    assert!((oracle.novel_coverage - foreseen as f64 / novel.len() as f64).abs() < 0.01, "{oracle:?}");
    assert!(oracle.novel_coverage > 0.9);
}

#[test]
fn what_does_not_fit_is_a_clear_error() {
    let trace = open("synthetic:noise?requests=10").expect("a workload");
    let said = |settings: &Settings, trace: &Trace, name: &str| {
        let error = replay("t", trace, settings, &[name.parse().expect("a baseline")], &());
        error.err().expect("no baseline").to_string()
    };
    let private = Settings { cache: CacheSize::Private(4), ..SETTINGS };
    assert!(said(&SETTINGS, &trace, "ppm2-own-top1-t0.25").contains("shared cache"));
    assert!(said(&private, &trace, "ppm2-global-top1-t0.25").contains("private caches"));
    let shared = Settings { models: Models::Alone, ..SETTINGS };
    assert!(said(&shared, &trace, "lru").contains("private caches"));
    let recorded = Trace { foreseeable: None, ..trace };
    assert!(said(&SETTINGS, &recorded, "oracle").contains("synthetic"));
    assert!("ppm3".parse::<Method>().is_err_and(|said| said.contains("markov1")));
}

/// Requests of each client in turn, by the number of the key. Names of keys follow no rule that could be guessed.
fn in_turn(clients: &[&[u32]]) -> Trace {
    let mut trace = Trace::default();
    for (client, keys) in (0..).zip(clients) {
        trace.requests.extend(keys.iter().map(|&key| Request { at_ms: 0, client, key }));
        trace.clients.push(format!("c{client}"));
    }
    let most = trace.requests.iter().map(|request| request.key + 1).max().unwrap_or(0);
    trace.keys = (1..=most).map(|key| format!("k/{:x}", key.pow(3).wrapping_mul(0x9e37_79b9) >> 5)).collect();
    trace
}

/// The engine's row with caches of 8 entries, pooled and alone.
fn pooled_and_alone(trace: &Trace) -> [Row; 2] {
    [Models::Pooled, Models::Alone].map(|models| {
        let private = Settings { cache: CacheSize::Private(8), models, ..SETTINGS };
        replay("t", trace, &private, &[], &()).expect("a replay").rows.remove(0)
    })
}

#[test]
fn what_one_client_did_helps_another_only_if_they_learn_together() {
    let walk: Vec<u32> = (0..64).collect();
    let [pooled, alone] = pooled_and_alone(&in_turn(&[&walk, &walk]));
    assert!(pooled.hit_ratio > 0.2 && pooled.first_ten_hit_ratio > Some(0.2), "{pooled:?}");
    assert_eq!((alone.hit_ratio, alone.first_ten_hit_ratio), (0.0, Some(0.0)));
    assert_eq!((pooled.models, alone.models), (Some("pooled"), Some("alone")));
}

#[test]
fn a_client_alone_learns_from_what_it_repeats() {
    let cycle: Vec<u32> = (0..640).map(|at| at % 64).collect();
    let trace = in_turn(&[&cycle, &cycle]);
    let [_, alone] = pooled_and_alone(&trace);
    assert!(alone.hit_ratio > 0.6, "{alone:?}");
    assert_eq!(alone.first_ten_hit_ratio, Some(0.0), "nobody has told it before");
    let private = Settings { cache: CacheSize::Private(8), ..SETTINGS };
    let lru =
        replay("t", &trace, &private, &["lru".parse().expect("a baseline")], &()).expect("a replay").rows.remove(1);
    assert_eq!((lru.hit_ratio, lru.models), (0.0, None));
}

#[test]
fn clients_alone_do_what_each_does_in_a_trace_of_its_own() {
    let trace = open("synthetic:tenants?requests=4000").expect("a workload");
    let figures = |row: &Row| {
        let count = |share: f64| (share * row.requests as f64).round();
        let counts = [row.hit_ratio, row.prefetches_per_request, row.wasted_per_request].map(count);
        (counts, row.max_client_excess.expect("private caches"))
    };
    let [_, alone] = pooled_and_alone(&trace);
    let (mut sums, mut excess) = ([0.0; 3], f64::NEG_INFINITY);
    for client in 0..trace.clients.len() as u32 {
        let requests = trace.requests.iter().filter(|request| request.client == client).copied().collect();
        let own = Trace { requests, keys: trace.keys.clone(), clients: trace.clients.clone(), ..Trace::default() };
        // A pool of one would have the credit of many, so it is no measure of one client.
        let [_, by_itself] = pooled_and_alone(&own);
        let of_client = figures(&by_itself);
        sums = std::array::from_fn(|at| sums[at] + of_client.0[at]);
        excess = excess.max(of_client.1);
    }
    assert!(trace.clients.len() > 4 && alone.prefetches_per_request > 0.1, "{alone:?}");
    assert_eq!(figures(&alone), (sums, excess));
}
