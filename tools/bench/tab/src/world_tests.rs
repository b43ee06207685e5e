use foremap::key::CompositeKey;

use foremap::adapter::FeedConfig;

use super::*;
use crate::human::human;
use crate::pace::{START, paced};

fn setup(mode: Mode, writes: u32) -> Setup {
    let feed = FeedConfig { enabled: true, ..FeedConfig::default() };
    Setup { mode, writes, bound_ms: 2_000, feed, origins: 1, share_clients: 2, seed: 7 }
}

/// Without a feed, what is known ages.
fn unfed(mode: Mode, writes: u32) -> Setup {
    Setup { feed: FeedConfig::default(), ..setup(mode, writes) }
}

/// One client that asks for `a` at these times.
fn asks(times: &[Millis]) -> Paced {
    let requests = times.iter().map(|at| Request { at: START + at, client: 0, key: 0 }).collect();
    Paced { requests, keys: vec![CompositeKey::parse("a").expect("valid")], clients: 1 }
}

fn counts(figures: &Figures) -> [u64; 3] {
    [figures.hit, figures.revalidated, figures.network]
        .map(|percent| (percent * figures.requests as f64 / 100.0) as u64)
}

#[test]
fn a_lone_key_is_asked_for_as_its_age_demands() {
    let trace = asks(&[0, 1_000, 2_100, 10_000]);
    let fed = replay("t", &trace, setup(Mode::Default, 0));
    assert_eq!((counts(&fed), fed.http_demand, fed.http_exchange), ([3, 0, 1], 0.25, 0.0));
    assert_eq!((fed.mean_ms, fed.feeds_per_visit), (15.0, 1.0));
    let default = replay("t", &trace, unfed(Mode::Default, 0));
    // Fresh at one second; then an exchange goes out with each request, and covers the next one.
    assert_eq!(counts(&default), [2, 1, 1]);
    assert_eq!((default.http_demand, default.http_ahead, default.http_exchange), (0.5, 0.0, 0.5));
    assert_eq!((default.mean_ms, default.p50_ms, default.p95_ms), (30.0, 0, 60));
    let none = replay("t", &trace, setup(Mode::NoCache, 0));
    assert_eq!((counts(&none), none.http_demand, none.http_exchange), ([0, 0, 4], 1.0, 0.0));
    let ttl = replay("t", &trace, setup(Mode::Ttl, 0));
    assert_eq!((counts(&ttl), ttl.http_demand, ttl.mean_ms), ([3, 0, 1], 0.25, 15.0));
}

#[test]
fn a_request_within_the_round_trip_joins_the_one_before() {
    let figures = replay("t", &asks(&[0, 20]), setup(Mode::Default, 0));
    assert_eq!((figures.joined, figures.mean_ms, figures.http_demand), (50.0, 50.0, 0.5));
}

#[test]
fn a_visit_ends_when_it_was_idle_for_long_enough() {
    let visits = |times: &[Millis]| {
        let figures = replay("t", &asks(times), setup(Mode::Default, 0));
        (figures.visits, counts(&figures))
    };
    assert_eq!(visits(&[0, IDLE - 1, 2 * IDLE - 2]), (1, [0, 2, 1]));
    assert_eq!(visits(&[0, IDLE]), (2, [0, 0, 2]), "the new tab knows nothing");
}

#[test]
fn what_a_tab_asks_for_by_a_rule_is_fetched_ahead() {
    let keys = (0..60).map(|n| CompositeKey::parse(&format!("series/{n:03}")).expect("valid"));
    let requests = (0..60).map(|n| Request { at: START + 400 * Millis::from(n), client: 0, key: n });
    let trace = Paced { requests: requests.collect(), keys: keys.collect(), clients: 1 };
    let figures = replay("t", &trace, setup(Mode::Default, 0));
    assert!(figures.hit > 50.0 && figures.used > 0.5, "{figures:?}");
    assert_eq!(figures.hit.round(), (100.0 * figures.used).round(), "nothing is asked for twice");
    // Slower than the bound, and without a feed, what was fetched ahead is too old when it is asked for.
    let requests = trace.requests.iter().map(|r| Request { at: START + 10 * (r.at - START), ..*r });
    let slow = Paced { requests: requests.collect(), ..trace.clone() };
    assert_eq!(replay("t", &slow, setup(Mode::Default, 0)).hit.round(), figures.hit.round(), "a feed keeps it fresh");
    let figures = replay("t", &slow, unfed(Mode::Default, 0));
    assert!(figures.hit == 0.0 && figures.outdated > 0.2, "up to the waste budget: {figures:?}");
}

#[test]
fn no_promise_is_broken_however_much_is_written() {
    let trace = paced(&human(3, 1_500), 1_500);
    for mode in [Mode::NoCache, Mode::CacheOnly, Mode::Default, Mode::Pooled] {
        for (bound_ms, origins) in [(2_000, 1), (60_000, 3)] {
            let figures = replay("human", &trace, Setup { bound_ms, origins, ..setup(mode, 900) });
            assert_eq!((figures.beyond, figures.backwards, figures.invented), (0, 0, 0), "{figures:?}");
            assert_eq!((figures.failed, figures.requests), (0, 1_500));
        }
    }
    let ttl = replay("human", &trace, setup(Mode::Ttl, 900));
    assert!(ttl.beyond > 0, "a plain cache tells what is long outdated: {ttl:?}");
}

#[test]
fn a_node_that_claims_to_be_more_current_than_it_is_does_not_go_unnoticed() {
    let trace = paced(&human(3, 1_500), 1_500);
    let mut lying = Fleet::new(7);
    lying.lie_ms = 20_000;
    let mut world = World::new(lying, &trace, setup(Mode::Default, 900));
    world.run();
    assert!(world.scene.tally.beyond > 0, "{:?}", world.scene.tally);
}

#[test]
fn a_shared_model_knows_what_others_did() {
    let trace = paced(&human(3, 3_000), 3_000);
    let setup = |mode| Setup { bound_ms: 600_000, ..setup(mode, 0) };
    let (lone, pooled) = (replay("human", &trace, setup(Mode::Default)), replay("human", &trace, setup(Mode::Pooled)));
    assert!(pooled.hit > lone.hit + 5.0, "{lone:?} {pooled:?}");
    assert!(pooled.wasted < 0.25 + 20.0 / 3_000.0, "the budget holds: {pooled:?}");
}

#[test]
fn what_visits_told_is_known_to_those_that_begin_later() {
    // One way through a site, which most take.
    let name = |n: u32| format!("page/{:08x}-", n.wrapping_mul(0x9e37_79b9));
    let keys = (0..40).map(|n| CompositeKey::parse(&name(n)).expect("valid")).collect();
    let visit = |client: u32| {
        let begins = START + 100_000 * Millis::from(client);
        (0..40).map(move |n| Request { at: begins + 5_000 * Millis::from(n), client, key: n })
    };
    let mut requests: Vec<Request> = (0..200).flat_map(visit).collect();
    requests.sort_by_key(|request| request.at);
    let trace = Paced { requests, keys, clients: 200 };
    let (lone, shared) = (replay("t", &trace, setup(Mode::Default, 0)), replay("t", &trace, setup(Mode::Shared, 0)));
    assert!(shared.hit > lone.hit + 10.0, "{lone:?} {shared:?}");
    let demand = shared.bytes - shared.feed_bytes - shared.model_bytes - shared.summary_bytes;
    assert!(shared.summary_bytes > 0.0 && shared.summary_bytes < 0.012 * demand, "{shared:?}");
    assert!(shared.models_read * 40.0 == 1.0 && shared.beyond == 0, "one for each visit: {shared:?}");
}

#[test]
fn the_shared_model_hears_of_every_order_what_became_of_it() {
    let trace = paced(&human(3, 3_000), 3_000);
    let mut world = World::new(Fleet::new(7), &trace, Setup { bound_ms: 30_000, ..unfed(Mode::Pooled, 10) });
    world.run();
    let engine = world.pool.as_ref().expect("pooled").stats();
    let ahead = world.scene.tally.ahead;
    assert_eq!(engine.outstanding, 0, "every tab is closed");
    assert!(ahead.used > 100 && ahead.outdated > 20, "{ahead:?}");
    assert_eq!((engine.issued - engine.refunded, engine.used), (ahead.issued, ahead.used));
    assert_eq!((engine.late, engine.outdated), (ahead.late, ahead.outdated));
}

#[test]
fn a_run_follows_from_its_setup() {
    let trace = paced(&human(3, 300), 300);
    let run = |seed| format!("{:?}", replay("human", &trace, Setup { seed, ..setup(Mode::Pooled, 10) }));
    assert_eq!(run(1), run(1));
}
