//! Each baseline against a naive implementation, on small random traces.

use std::collections::HashMap;

use super::*;
use crate::clock::Clock;
use crate::rules::{Cache, Caches, Nothing, Player, Predictor};
use crate::settings::Latency;
use crate::tally::Tally;
use crate::trace::{Request, Trace};

/// A trace of skewed random keys, by a multiplicative generator (Lehmer).
fn random(seed: u64, requests: usize, keys: u32, clients: u32) -> Trace {
    let mut state = seed * 2 + 1;
    let mut next = |below: u32| {
        state = state.wrapping_mul(0xda94_2042_e4dd_58b5);
        ((state >> 40) % u64::from(below)) as u32
    };
    let mut trace = Trace::default();
    for at_ms in 0..requests as i64 {
        let (bound, client) = (next(keys) + 1, next(clients));
        let key = next(bound);
        trace.requests.push(Request { at_ms, client, key });
    }
    trace.keys = (0..keys).map(|key| key.to_string()).collect();
    trace.clients = (0..clients).map(|client| client.to_string()).collect();
    trace
}

/// Hits, prefetches and used ones.
fn play<C: Cache<u32>, P: Predictor<u32>>(
    trace: &Trace,
    cache: impl FnMut() -> C,
    mut predictor: P,
) -> (u64, u64, u64) {
    let keys: Vec<u32> = (0..trace.keys.len() as u32).collect();
    let caches = Caches::new(false, cache);
    let tally = Player::new(
        &keys,
        caches,
        &mut predictor,
        Latency::Requests(0),
        Tally::new(keys.len(), None, 0.25, None),
        Clock::calibrated(&()),
    )
    .play(&trace.requests, || {});
    (tally.hits, tally.issued, tally.used)
}

/// LRU as a plain list, most recent first; the flag is "prefetched and unused".
fn naive_lru(trace: &Trace, entries: usize, mut predict: impl FnMut(usize) -> Vec<u32>) -> (u64, u64, u64) {
    let (mut list, mut hits, mut issued, mut used) = (Vec::<(u32, bool)>::new(), 0, 0, 0);
    for (at, request) in trace.requests.iter().enumerate() {
        if let Some(found) = list.iter().position(|(key, _)| *key == request.key) {
            hits += 1;
            used += u64::from(list.remove(found).1);
        }
        list.insert(0, (request.key, false));
        list.truncate(entries);
        // Least likely first.
        for key in predict(at).into_iter().rev() {
            if list.iter().all(|(known, _)| *known != key) {
                issued += 1;
                list.insert(0, (key, true));
                list.truncate(entries);
            }
        }
    }
    (hits, issued, used)
}

#[test]
fn lru_is_a_list_with_the_oldest_leaving() {
    for entries in [1, 2, 7, 40, 100] {
        let trace = random(entries as u64, 3_000, 60, 3);
        assert_eq!(play(&trace, || Lru::new(entries), Nothing), naive_lru(&trace, entries, |_| Vec::new()));
    }
}

/// Counts the followers of the last one or two keys anew for each prediction.
fn naive_ppm(trace: &Trace, variant: &PpmVariant, at: usize) -> Vec<u32> {
    let client = trace.requests[at].client;
    let mut streams: HashMap<u32, Vec<u32>> = HashMap::new();
    for request in &trace.requests[..=at] {
        streams.entry(if variant.client_stream { request.client } else { 0 }).or_default().push(request.key);
    }
    let history = &streams[&if variant.client_stream { client } else { 0 }];
    for order in (1..=usize::from(variant.order).min(history.len())).rev() {
        let context = &history[history.len() - order..];
        // Followers in the order of time, so that of equals the first to reach its count is first.
        let mut counts: Vec<(u32, u32)> = Vec::new();
        let mut place: HashMap<u32, usize> = HashMap::new();
        for (stream, key) in
            trace.requests[..=at].iter().map(|r| (if variant.client_stream { r.client } else { 0 }, r.key))
        {
            let seen = place.entry(stream).or_default();
            let before = &streams[&stream][..*seen];
            *seen += 1;
            let own = !variant.own_model || stream == client;
            if own && before.ends_with(context) {
                let known = counts.iter().position(|(follower, _)| *follower == key).unwrap_or(counts.len());
                if known == counts.len() {
                    counts.push((key, 0));
                }
                counts[known].1 += 1;
                let mut at = known;
                while at > 0 && counts[at - 1].1 < counts[at].1 {
                    counts.swap(at - 1, at);
                    at -= 1;
                }
            }
        }
        let total: u32 = counts.iter().map(|(_, count)| count).sum();
        let likely = counts.iter().take(variant.top).filter(|(_, count)| count * 100 >= variant.percent * total);
        let likely: Vec<u32> = likely.map(|(key, _)| *key).collect();
        if !likely.is_empty() {
            return likely;
        }
    }
    Vec::new()
}

#[test]
fn ppm_counts_followers() {
    let trace = random(5, 500, 8, 3);
    for order in [1, 2] {
        for variant in PpmVariant::all(order, false).into_iter().chain(PpmVariant::all(order, true)) {
            let naive = naive_lru(&trace, 2, |at| naive_ppm(&trace, &variant, at));
            assert!(naive.1 > 10, "{variant:?}");
            assert_eq!(play(&trace, || Lru::new(2), Ppm::new(variant, &trace)), naive, "{variant:?}");
        }
    }
}

#[test]
fn belady_gives_up_what_is_needed_last() {
    for entries in [1, 3, 10] {
        let trace = random(7, 1_500, 30, 1);
        let next = |from: usize, key: u32| trace.requests[from..].iter().position(|request| request.key == key);
        let next = |from, key| next(from, key).unwrap_or(usize::MAX);
        let (mut resident, mut hits) = (Vec::<u32>::new(), 0);
        for (at, request) in trace.requests.iter().enumerate() {
            if resident.contains(&request.key) {
                hits += 1;
                continue;
            }
            resident.push(request.key);
            if resident.len() > entries {
                let last = resident.iter().copied().max_by_key(|key| next(at + 1, *key)).expect("not empty");
                resident.retain(|key| *key != last);
            }
        }
        let uses = next_uses(&trace, false);
        assert_eq!(play(&trace, || Belady::new(entries, uses.clone()), Nothing), (hits, 0, 0));
    }
}

#[test]
fn oracles_prefetch_the_client_s_true_next_keys() {
    let trace = &random(3, 1_500, 40, 3);
    let next = |at: usize, ahead: usize| {
        let client = trace.requests[at].client;
        let mine = (at + 1..trace.requests.len()).filter(move |&later| trace.requests[later].client == client);
        mine.take(ahead).collect::<Vec<_>>()
    };
    let known = |at: usize, key: u32| trace.requests[..=at].iter().any(|request| request.key == key);
    for ahead in [1, 3] {
        let keys = |at: usize| next(at, ahead).into_iter().map(|later| trace.requests[later].key).collect::<Vec<_>>();
        let any = naive_lru(trace, 6, keys);
        assert_eq!(play(trace, || Lru::new(6), Oracle::new(trace, ahead, Sight::Any)), any);
        let seen = |at: usize| keys(at).into_iter().filter(|key| known(at, *key)).collect();
        let naive = naive_lru(trace, 6, seen);
        assert_eq!(play(trace, || Lru::new(6), Oracle::new(trace, ahead, Sight::Known)), naive);
    }
    let marked: Vec<bool> = (0..trace.requests.len()).map(|at| at % 3 == 0).collect();
    let naive = naive_lru(trace, 6, |at| {
        next(at, 1).into_iter().filter(|later| marked[*later]).map(|later| trace.requests[later].key).collect()
    });
    assert_eq!(play(trace, || Lru::new(6), Oracle::new(trace, 1, Sight::Marked(marked.clone()))), naive);
}

/// S3-FIFO as plain lists, oldest first, with the accesses of each key beside it.
fn naive_s3fifo(trace: &Trace, entries: usize) -> u64 {
    let (mut small, mut main, mut ghosts) = (Vec::<(u32, u32)>::new(), Vec::<(u32, u32)>::new(), Vec::<u32>::new());
    let mut hits = 0;
    for key in trace.requests.iter().map(|request| request.key) {
        if let Some(found) = small.iter_mut().chain(&mut main).find(|(known, _)| *known == key) {
            found.1 += 1;
            hits += 1;
            continue;
        }
        let ghost = ghosts.iter().position(|known| *known == key).map(|at| ghosts.remove(at)).is_some();
        while small.len() + main.len() == entries {
            if main.len() > entries - entries / 10 || small.is_empty() {
                let (oldest, accesses) = main.remove(0);
                if accesses > 0 {
                    main.push((oldest, accesses.min(3) - 1));
                }
                continue;
            }
            // Promotes until one leaves, however full the main queue gets.
            while !small.is_empty() {
                let (oldest, accesses) = small.remove(0);
                if accesses < 2 {
                    ghosts.push(oldest);
                    let excess = ghosts.len().saturating_sub(entries * 9 / 10);
                    ghosts.drain(..excess);
                    break;
                }
                main.push((oldest, 0));
            }
        }
        if ghost { main.push((key, 0)) } else { small.push((key, 0)) }
    }
    hits
}

#[test]
fn s3fifo_is_two_queues_and_ghosts() {
    for entries in [10, 20, 35, 50] {
        let trace = random(entries as u64, 6_000, 120, 1);
        let expected = naive_s3fifo(&trace, entries);
        assert!(expected > 1_000);
        assert_eq!(play(&trace, || S3Fifo::new(entries), Nothing), (expected, 0, 0), "{entries}");
    }
}
