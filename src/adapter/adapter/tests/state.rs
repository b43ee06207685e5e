use crate::adapter::testing::{Host, ORIGIN, key, locator};
use crate::adapter::{AdapterConfig, Attention, Served};
use crate::cache::{CacheConfig, Invalidate};

const STATE: usize = 1 << 20;

/// A host that has read `count` keys of its gateway, and a second one of the same store that has read none.
fn pages(count: usize) -> (Host, Host) {
    let (mut before, mut after) = (Host::new(), Host::new());
    for host in [&mut before, &mut after] {
        (0..count).for_each(|n| _ = host.gateway.put(&format!("u/{n}"), &n.to_string()));
    }
    (0..count).for_each(|n| _ = before.read(&format!("u/{n}")));
    (before, after)
}

#[test]
fn a_page_that_comes_back_confirms_everything_in_one_exchange() {
    let (before, mut after) = pages(5);
    after.gateway.put("u/3", "new");
    assert_eq!(after.adapter.import_state(after.now, &before.adapter.state(STATE)), Ok(5));
    assert!(after.adapter.cached_answer(after.now, &key("u/1"), u32::MAX - 1).is_none(), "none is believed before");
    after.pass(1);
    after.deliver();
    assert_eq!(after.gateway.requests.len(), 1);
    assert!(after.gateway.requests[0].items.is_empty());
    for n in [0, 1, 2, 4] {
        let answer = after.read(&format!("u/{n}")).expect("found");
        assert_eq!((answer.served, locator(&answer)), (Served::Cache, Some(&*n.to_string())));
    }
    assert_eq!(after.read("u/3").as_ref().map(locator), Ok(Some("new")), "it was changed meanwhile");
}

#[test]
fn what_comes_late_is_not_served_where_this_page_has_read_on() {
    let cache = CacheConfig { max_entries: 2, ..CacheConfig::default() };
    let mut host = Host::with(AdapterConfig { origins: vec![ORIGIN.into()], cache, ..AdapterConfig::default() });
    let shard = host.gateway.shard("u/1");
    let mut same = (2..).map(|n| format!("u/{n}")).filter(|text| host.gateway.shard(text) == shard);
    let [kept, other] = [(); 2].map(|()| same.next().expect("keys of the same shard"));
    for text in ["u/1", &kept, &other] {
        host.gateway.put(text, "old");
    }
    // Keeps what is known of the shard.
    host.read(&kept).expect("found");
    host.read("u/1").expect("found");
    let state = host.adapter.state(STATE);
    host.gateway.put("u/1", "new");
    assert_eq!(host.get_strong("u/1").as_ref().map(locator), Ok(Some("new")));
    host.read(&other).expect("found, in the room of one of them");
    host.read(&kept).expect("found");
    host.adapter.import_state(host.now, &state).expect("a state");
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("new")));
}

#[test]
fn a_page_that_holds_a_feed_confirms_everything_with_its_first_frame() {
    let (before, mut after) = (Host::fed(), Host::fed());
    let mut before = before;
    for host in [&mut before, &mut after] {
        host.gateway.put("u/1", "x");
    }
    before.read("u/1").expect("found");
    after.adapter.import_state(after.now, &before.adapter.state(STATE)).expect("a state");
    after.pass(0);
    assert!(after.sent.is_empty());
    after.beat();
    assert_eq!(after.read("u/1").map(|answer| answer.served), Ok(Served::Cache));
}

#[test]
fn where_the_log_was_cut_each_entry_is_confirmed_alone() {
    let (before, mut after) = pages(2);
    after.adapter.import_state(after.now, &before.adapter.state(STATE)).expect("a state");
    after.pass(1);
    let exchange = after.sent.remove(0);
    let mut answer = after.gateway.answer(&exchange.body);
    answer.resets = answer.positions.iter().map(|at| at.shard).collect();
    after.respond(exchange.flight, 200, &answer.encode());
    assert_eq!(after.read("u/0").map(|answer| answer.served), Ok(Served::Revalidated));
}

#[test]
fn the_session_and_the_requests_come_along() {
    let (before, mut after) = pages(4);
    after.adapter.import_state(after.now, &before.adapter.state(STATE)).expect("a state");
    assert_eq!(after.adapter.session_token().collect::<Vec<_>>(), before.adapter.session_token().collect::<Vec<_>>());
    assert_eq!(after.adapter.stats(after.now).history.used, 4);
    assert_eq!(after.adapter.bookmark(), before.adapter.bookmark());
    let again = after.adapter.state(STATE);
    let mut third = Host::new();
    assert_eq!(third.adapter.import_state(third.now, &again), Ok(4), "as often as one likes");
}

#[test]
fn a_small_state_has_the_best_of_it() {
    let (before, mut after) = pages(20);
    let whole = before.adapter.state(STATE).len();
    let part = before.adapter.state(whole - 400);
    assert!(part.len() <= whole - 400);
    let count = after.adapter.import_state(after.now, &part).expect("a state");
    assert!((1..20).contains(&count), "{count}");
    assert_eq!(Host::new().adapter.import_state(1_000, &before.adapter.state(0)), Ok(0));
}

#[test]
fn what_is_no_state_is_refused_and_changes_nothing() {
    let (before, mut after) = pages(3);
    let state = before.adapter.state(STATE);
    for end in 0..state.len() {
        assert!(after.adapter.import_state(after.now, &state[..end]).is_err(), "{end}");
    }
    assert!(after.adapter.session_token().next().is_none() && after.adapter.cache.is_empty());
}

#[test]
fn a_state_of_another_store_is_left_alone() {
    let (before, mut after) = pages(2);
    after.renew_store(9);
    after.read("u/7").expect("answered");
    assert_eq!(after.adapter.import_state(after.now, &before.adapter.state(STATE)), Ok(0));
}

#[test]
fn a_change_that_a_page_has_heard_of_beats_what_was_kept() {
    let (mut before, mut after) = pages(2);
    // Both keys in one shard, so that the exchange is about it.
    let state = before.adapter.state(STATE);
    for host in [&mut before, &mut after] {
        host.read("u/0").expect("found");
        host.gateway.put("u/1", "new");
    }
    after.read("u/1").expect("found");
    let version = after.gateway.put("u/1", "newer");
    let shard = after.gateway.shard("u/1");
    let change = crate::protocol::Change { shard, version, key: key("u/1"), deleted: false };
    after.adapter.cache.apply_change(&change);
    assert_eq!(after.adapter.import_state(after.now, &state), Ok(0), "one is there already, the other one was changed");
}

#[test]
fn an_own_write_and_an_invalidation_beat_what_was_kept() {
    for clears in [false, true] {
        let (before, mut after) = pages(2);
        let state = before.adapter.state(STATE);
        if clears {
            after.adapter.clear(after.now);
        } else {
            let version = after.gateway.put("u/1", "mine");
            after.wrote("u/1", version);
            after.adapter.invalidate(after.now, &Invalidate::Key(key("u/0")));
        }
        assert_eq!(after.adapter.import_state(after.now, &state), Ok(0));
    }
}

#[test]
fn a_page_that_nobody_looks_at_opens_no_feed_when_it_is_loaded() {
    let (before, mut after) = (pages(2).0, Host::fed());
    after.adapter.handle_attention(after.now, Attention::Away);
    after.adapter.import_state(after.now, &before.adapter.state(STATE)).expect("a state");
    after.pass(60_000);
    assert_eq!(after.adapter.stats(after.now).feed.opened, 0, "it would be closed again at once");
    after.adapter.handle_attention(after.now, Attention::Active);
    assert_eq!(after.adapter.stats(after.now).feed.opened, 1);
}
