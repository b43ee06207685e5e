use crate::adapter::testing::{Host, ORIGIN};
use crate::adapter::{Action, AdapterConfig, FeedConfig, FeedEnd, FlightId};
use crate::protocol::FeedFrame;
use crate::protocol::FeedStep;
use crate::protocol::Hello;
use crate::protocol::{BatchRequest, FeedId};

const HELLO: Hello =
    Hello { feed: FeedId { node: 1, number: 7 }, clock: 9, heartbeat_ms: 600, incarnation: 0, relayed: false };

/// A client that may hold a feed, and has read `keys`.
fn client(keys: &[&str]) -> Host {
    let feed = FeedConfig { enabled: true, ..FeedConfig::default() };
    let mut host = Host::with(AdapterConfig { origins: vec![ORIGIN.into()], feed, ..AdapterConfig::default() });
    for (number, key) in keys.iter().enumerate() {
        host.gateway.put(key, &number.to_string());
    }
    for key in keys {
        host.read(key).expect("an answer");
    }
    host
}

/// The feed that it asks for once what it has cached is about to grow too old, and what it asks for.
fn asked(host: &mut Host) -> (FlightId, BatchRequest) {
    host.pass(1_900);
    let open = host.other.drain(..).find_map(|action| match action {
        Action::OpenFeed { feed, body, .. } => Some((feed, BatchRequest::decode(&body).expect("a batch"))),
        _ => None,
    });
    open.expect("a feed")
}

fn bytes(host: &mut Host, feed: FlightId, bytes: &[u8]) {
    host.adapter.handle_feed_bytes(host.now, feed, bytes);
    host.pass(0);
}

/// The gateway's first frame: everything up to where it stands.
fn begin(host: &mut Host, feed: FlightId, request: &BatchRequest) {
    let steps = request.cursors.iter().map(|c| FeedStep { shard: c.shard, from: c.position, to: c.position + 10 });
    let steps = steps.collect();
    let frame =
        FeedFrame { hello: Some(HELLO), number: 3, clock_ms: host.now, age_ms: 1, steps, ..FeedFrame::default() };
    bytes(host, feed, &[&FeedFrame::PREAMBLE[..], &frame.encode()].concat());
}

fn beat(host: &Host, number: u32) -> Vec<u8> {
    FeedFrame { number, clock_ms: host.now, age_ms: 1, ..FeedFrame::default() }.encode()
}

fn is_open(host: &Host) -> bool {
    host.adapter.stats(host.now).feed.open
}

/// One that leads and one that has just asked.
fn pair(follower: &[&str]) -> (Host, FlightId, Host, FlightId) {
    let (mut leader, mut follower) = (client(&["a/x"]), client(follower));
    let (feed, request) = asked(&mut leader);
    let (join, _) = asked(&mut follower);
    assert_eq!(leader.adapter.feed_opening(leader.now), None);
    leader.adapter.set_relaying(true);
    begin(&mut leader, feed, &request);
    leader.other.clear();
    follower.now = follower.now.max(leader.now);
    (leader, feed, follower, join)
}

fn opening(host: &Host) -> Vec<u8> {
    host.adapter.feed_opening(host.now).expect("an opening")
}

fn relayed(host: &mut Host) -> Vec<Vec<u8>> {
    let frames = host.other.drain(..).filter_map(|action| match action {
        Action::Relay { frame, .. } => Some(frame),
        _ => None,
    });
    frames.collect()
}

#[test]
fn whoever_joins_closes_the_gap_at_once_and_is_then_kept_fresh_by_what_is_passed_on() {
    let (mut leader, feed, mut follower, join) = pair(&["a/x"]);
    bytes(&mut follower, join, &opening(&leader));
    assert!(is_open(&follower));
    let exchange = follower.sent.last().map(|sent| BatchRequest::decode(&sent.body).expect("a batch"));
    let exchange = exchange.expect("an exchange");
    assert_eq!((exchange.feed, exchange.items.len(), exchange.cursors.len()), (Some(HELLO.feed), 0, 1));
    // What lies between its position and that of the feed.
    (0..20).for_each(|_| _ = follower.gateway.put("b/other", ""));
    follower.deliver();
    let asked = follower.gateway.requests.len();
    for number in 4..14 {
        (leader.now, follower.now) = (leader.now + 600, follower.now + 600);
        let frame = beat(&leader, number);
        bytes(&mut leader, feed, &frame);
        for frame in relayed(&mut leader) {
            bytes(&mut follower, join, &frame);
        }
    }
    let answer = follower.read("a/x").expect("an answer");
    assert!(answer.age_ms < 2_000, "{}", answer.age_ms);
    assert_eq!(follower.gateway.requests.len(), asked);
}

#[test]
fn joining_costs_no_credit_so_a_follower_can_take_over() {
    let (leader, _, mut follower, join) = pair(&["a/x"]);
    bytes(&mut follower, join, &opening(&leader));
    follower.deliver();
    follower.adapter.handle_feed_end(follower.now, join, FeedEnd::Ended);
    follower.read("a/x").expect("an answer");
    asked(&mut follower);
}

#[test]
fn a_feed_at_hand_needs_no_credit() {
    let (mut host, feed, ..) = pair(&["a/x"]);
    host.adapter.handle_feed_end(host.now, feed, FeedEnd::Ended);
    host.read("a/x").expect("an answer");
    host.pass(5_000);
    let opens = |host: &mut Host| host.other.drain(..).any(|action| matches!(action, Action::OpenFeed { .. }));
    assert!(!opens(&mut host));
    host.adapter.handle_feed_at_hand(host.now, true);
    host.pass(0);
    assert!(opens(&mut host));
}

#[test]
fn a_client_that_asks_all_the_time_gets_its_feed_back() {
    let (mut host, feed, ..) = pair(&["a/x"]);
    for _ in 0..30 {
        host.adapter.feed.earn();
    }
    host.adapter.handle_feed_end(host.now, feed, FeedEnd::Broken);
    for _ in 0..100 {
        host.read("a/x").expect("an answer");
        host.pass(200);
        host.deliver();
    }
    assert!(host.other.iter().any(|action| matches!(action, Action::OpenFeed { .. })));
}

#[test]
fn what_comes_twice_is_passed_over_and_a_frame_that_is_missing_ends_it() {
    let (leader, _, mut follower, join) = pair(&["a/x"]);
    let frame = |number| beat(&leader, number);
    bytes(&mut follower, join, &opening(&leader));
    for number in [4, 3, 4, 5, 4] {
        bytes(&mut follower, join, &frame(number));
        assert!(is_open(&follower), "{number}");
    }
    bytes(&mut follower, join, &frame(7));
    assert!(!is_open(&follower));
}

#[test]
fn a_feed_outlives_its_last_entry() {
    let (mut leader, feed, ..) = pair(&["a/x"]);
    let change = crate::protocol::Change {
        shard: leader.gateway.map.storage.shard(&crate::adapter::testing::key("a/x")),
        version: 50,
        key: crate::adapter::testing::key("a/x"),
        deleted: false,
    };
    let frame = FeedFrame { number: 4, clock_ms: leader.now, changes: vec![change], ..FeedFrame::default() };
    bytes(&mut leader, feed, &frame.encode());
    assert_eq!(leader.adapter.stats(leader.now).cache.entries, 0);
    assert!(is_open(&leader));
}

#[test]
fn what_was_missed_is_confirmed_before_it_is_served() {
    let mut host = client(&["a/x"]);
    let asked = host.gateway.requests.len();
    host.read("a/x").expect("an answer");
    assert_eq!(host.gateway.requests.len(), asked);
    host.adapter.handle_expiry(host.now);
    host.pass(5);
    host.read("a/x").expect("an answer");
    assert_eq!(host.gateway.requests.len(), asked + 1);
}

#[test]
fn nothing_of_what_was_asked_for_outlives_a_clearing() {
    let mut host = client(&["a/x", "a/secret"]);
    let holds = |host: &Host| host.adapter.state(1 << 20).windows(8).any(|part| part == b"a/secret");
    assert!(holds(&host));
    host.adapter.clear(host.now);
    assert!(!holds(&host));
}
