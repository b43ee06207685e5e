//! Promises of a [`Registry`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use foremap::control::{Member, MemberState};
use foremap_gateway::store::Registry;

use super::harness::{LONG, Shared};

/// Over soon.
const SHORT: Duration = Duration::from_millis(900);

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    members_are_listed_until_they_expire(open()).await;
    one_coordinator_at_a_time_and_terms_rise(open()).await;
}

fn member(id: u32, incarnation: u64, origin: &str) -> Member {
    Member { id, incarnation, origin: origin.into(), weight: 1, state: MemberState::Serving, warm_for: 0 }
}

async fn members_are_listed_until_they_expire(store: Arc<dyn Registry>) {
    let announce = |member: Member, ttl| {
        let store = store.clone();
        async move { store.announce(member, ttl).await.expect("a store that works") }
    };
    let members = || async { store.members().await.expect("a store that works") };
    assert_eq!(members().await, []);
    let (first, second) = (member(2, 1, "http://a"), member(1, 1, "http://b"));
    assert!(announce(first.clone(), LONG).await && announce(second.clone(), LONG).await);
    assert_eq!(members().await, [second.clone(), first.clone()]);
    let warm = Member { warm_for: 9, state: MemberState::Leaving, ..second };
    assert!(announce(warm.clone(), LONG).await);
    assert_eq!(members().await, [warm.clone(), first.clone()]);
    // Another process is refused; the same one after a restart is not.
    assert!(!announce(member(2, 2, "http://c"), LONG).await);
    let back = member(2, 3, "http://a");
    assert!(announce(back.clone(), LONG).await);
    assert_eq!(members().await, [warm.clone(), back.clone()]);
    // Only its own registration is taken back.
    store.retract(2, 1).await.expect("a store that works");
    assert_eq!(members().await.len(), 2);
    store.retract(2, 3).await.expect("a store that works");
    assert_eq!(members().await, std::slice::from_ref(&warm));
    let begun = Instant::now();
    assert!(announce(member(3, 1, "http://d"), SHORT).await);
    let listed = members().await.len();
    // Its time began later, so it is over later still.
    assert!(listed == 2 || begun.elapsed() >= SHORT);
    tokio::time::sleep(SHORT + Duration::from_millis(100)).await;
    assert_eq!(members().await, [warm]);
    assert!(announce(member(3, 2, "http://e"), LONG).await, "an expired id is free");
}

async fn one_coordinator_at_a_time_and_terms_rise(store: Arc<dyn Registry>) {
    let lead = |incarnation, ttl| {
        let store = store.clone();
        async move { store.take_lease(incarnation, ttl).await.expect("a store that works") }
    };
    let first = lead(1, LONG).await.expect("free");
    assert!(first > 0);
    assert_eq!(lead(2, LONG).await, None);
    assert_eq!(lead(1, LONG).await, Some(first), "kept");
    assert_eq!(lead(2, Duration::ZERO).await, None, "not theirs to give up");
    assert_eq!(lead(1, Duration::ZERO).await, None, "given up");
    let second = lead(2, SHORT).await.expect("free again");
    assert!(second > first);
    tokio::time::sleep(SHORT + Duration::from_millis(100)).await;
    assert!(lead(1, LONG).await.expect("expired") > second);
}
