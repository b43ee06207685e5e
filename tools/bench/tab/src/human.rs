//! A synthetic workload at human pace, for measurements without recorded traces.

use foremap_replay::Random;
use foremap_replay::trace::{Request, Trace};

/// Pages of the site.
const PAGES: u64 = 600;
/// Links of a page.
const LINKS: u64 = 6;
/// Visits begin so far apart on average, so that about ten are under way at once.
const BETWEEN_VISITS_MS: u64 = 15_000;
/// Permille of steps that go back to the page before.
const BACK: u32 = 250;
/// Permille of visits by somebody who was there before.
const RETURNING: u32 = 200;

/// Visits of 3 to 10 requests, 3 to 50 s apart: follow a link, mostly one of the first, or go back.
///
/// # Panics
/// If `requests` is beyond 2^32.
pub fn human(seed: u64, requests: usize) -> Trace {
    let mut rng = Random::apart(seed);
    let mut asked: Vec<Request> = Vec::with_capacity(requests + 10);
    let (mut clients, mut begin) = (0_u64, 0_u64);
    while asked.len() < requests {
        begin += rng.below(2 * BETWEEN_VISITS_MS);
        let returning = clients > 0 && rng.chance(RETURNING);
        let client = if returning { rng.below(clients) } else { clients };
        clients = clients.max(client + 1);
        visit(&mut rng, begin, u32::try_from(client).expect("fewer than 2^32 clients"), &mut asked);
    }
    asked.sort_by_key(|request| request.at_ms);
    asked.truncate(requests);
    Trace {
        requests: asked,
        keys: (0..PAGES).map(|page| format!("site/{}/page-{page}", page % 20)).collect(),
        clients: (0..clients).map(|client| format!("c{client}")).collect(),
        ..Trace::default()
    }
}

fn visit(rng: &mut Random, begin: u64, client: u32, asked: &mut Vec<Request>) {
    let mut trail = vec![popular(rng, PAGES)];
    let mut at = begin;
    for _ in 0..rng.range(3, 10) {
        let page = trail.last().copied().unwrap_or_default();
        asked.push(Request { at_ms: at as i64, client, key: page as u32 });
        at += rng.range(3_000, 50_000);
        if trail.len() > 1 && rng.chance(BACK) {
            trail.pop();
        } else {
            trail.push(link(page, popular(rng, LINKS)));
        }
    }
}

/// Small numbers far more often than large ones.
fn popular(rng: &mut Random, bound: u64) -> u64 {
    let draws = [rng.below(bound), rng.below(bound), rng.below(bound)];
    draws.into_iter().min().unwrap_or_default()
}

/// Target of the n-th link of a page: the same for everybody.
fn link(page: u64, nth: u64) -> u64 {
    Random::apart(page * LINKS + nth).below(PAGES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_seed_is_a_trace_at_human_pace() {
        let trace = human(1, 5_000);
        assert_eq!(trace.requests, human(1, 5_000).requests);
        assert_ne!(trace.requests, human(2, 5_000).requests);
        let mut last: BTreeMap<u32, i64> = BTreeMap::new();
        let mut gaps = Vec::new();
        for request in &trace.requests {
            if let Some(before) = last.insert(request.client, request.at_ms) {
                gaps.push(request.at_ms - before);
            }
        }
        gaps.sort_unstable();
        let median = gaps[gaps.len() / 2];
        assert!((20_000..35_000).contains(&median), "{median}");
    }
}
