//! Promises of a [`StoreStatus`](foremap_gateway::store::StoreStatus).

use foremap_gateway::store::ClockStatus;

use super::harness::{Shared, put, written};

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    a_store_that_works_says_so(open()).await;
    versions_follow_its_clock(open()).await;
}

async fn a_store_that_works_says_so(store: Shared) {
    written(&store, put("a/b", "one")).await;
    let (waiting, most) = store.waiting();
    assert!(waiting <= most, "{waiting} of {most}");
    assert!(store.troubles().iter().all(|trouble| !trouble.is_whole), "{:?}", store.troubles());
    assert!(store.masters().iter().all(|master| master.failures <= master.attempts), "{:?}", store.masters());
    assert!(store.disk().is_none_or(|disk| !disk.is_broken), "{:?}", store.disk());
    assert!(store.clocks().first().is_none_or(|clock| clock.whose == ClockStatus::OWN), "{:?}", store.clocks());
}

async fn versions_follow_its_clock(store: Shared) {
    let version = written(&store, put("a/b", "one")).await.version;
    let now = store.now_us();
    assert!(now.abs_diff(version) < 60_000_000, "{version} at {now}");
}
