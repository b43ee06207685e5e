use crate::Millis;
use crate::adapter::testing::{Host, key};
use crate::adapter::{GetRequest, Served};
use crate::protocol::Class;
use crate::protocol::{BatchRequest, ErrorCode, Outcome};

/// Batches of predicted keys alone, among those that are under way.
fn alone(host: &Host) -> usize {
    let requests = host.sent.iter().map(|sent| BatchRequest::decode(&sent.body).expect("a batch"));
    let predicted = |request: &BatchRequest| {
        !request.items.is_empty() && request.items.iter().all(|item| item.class == Class::Prefetch)
    };
    requests.filter(predicted).count()
}

/// A host with an empty cache that knows that `u/0` to `u/5` are read in this order, five seconds apart.
fn trained() -> Host {
    let mut host = Host::new();
    let keys: Vec<String> = (0..6).map(|n| format!("u/{n}/profile")).collect();
    keys.iter().for_each(|text| _ = host.gateway.put(text, text));
    for _ in 0..12 {
        for text in &keys {
            host.read(text).expect("found");
            host.pass(20);
            host.deliver();
        }
    }
    host.adapter.clear(host.now);
    host.adapter.ahead.forget_credit();
    host.pass(5_000);
    host.deliver();
    host
}

#[test]
fn what_was_predicted_rides_on_what_goes_out_and_then_pays_for_what_follows() {
    let mut host = trained();
    host.get("u/0/profile");
    host.pass(1);
    assert_eq!((host.sent.len(), alone(&host)), (1, 0), "it rides on the miss");
    host.deliver();
    host.pass(300);
    host.deliver();
    assert_eq!(host.read("u/1/profile").map(|answer| answer.served), Ok(Served::Cache));
    host.pass(1);
    assert!(alone(&host) <= 1, "one batch for the one that was saved");
}

#[test]
fn nothing_is_earned_where_a_gateway_is_being_asked_for_the_key_anyway() {
    let mut host = trained();
    host.read("u/0/profile").expect("found, and what follows with it");
    host.adapter.ahead.forget_credit();
    let past = GetRequest { bypass_cache: true, observe: false, ..GetRequest::new(key("u/1/profile")) };
    host.adapter.handle_request(host.now, past);
    host.pass(1);
    assert_eq!(host.read("u/1/profile").map(|answer| answer.served), Ok(Served::Cache));
    assert!(!host.adapter.ahead.take_credit());
}

#[test]
fn predictions_without_credit_are_held_until_the_next_request_and_then_ride_or_go() {
    let mut host = trained();
    host.read("u/0/profile").expect("found");
    // Whatever rode on that is gone again, so there is something to predict and no credit.
    host.adapter.clear(host.now);
    host.adapter.ahead.forget_credit();
    let scope = 0;
    host.adapter.start_prefetch(host.now, scope, key("u/9/profile"), false, true);
    host.adapter.handle_timeout(host.now, scope);
    host.pass(1_000);
    let under_way = |host: &Host| (host.sent.len(), host.adapter.stats(host.now).prefetching.used);
    assert_eq!(under_way(&host), (0, 1), "nothing goes out for it");
    let asked = host.get("u/9/profile");
    host.pass(1);
    assert_eq!(host.sent.len(), 1, "whoever asks for it takes it along");
    host.deliver();
    assert!(host.answers[&asked].is_ok());
    host.adapter.start_prefetch(host.now, scope, key("u/8/profile"), false, true);
    host.adapter.handle_timeout(host.now, scope);
    assert_eq!(under_way(&host), (0, 1));
    host.get("u/7/profile");
    host.pass(1);
    assert!(!host.adapter.requests.is_fetching(&key("u/8/profile")), "the next request predicts anew");
}

#[test]
fn hints_that_turn_out_wrong_are_turned_down() {
    let mut host = Host::new();
    (0..400).for_each(|n| _ = host.gateway.put(&format!("u/{n}"), "x"));
    let mut asked = Vec::new();
    for n in 0..200 {
        host.adapter.prefetch(host.now, 0, [key(&format!("u/{n}"))], Some(0.9), Some(1_000));
        host.pass(1);
        asked.push(host.sent.len());
        host.deliver();
        // Something else is read instead.
        host.read(&format!("u/{}", 399 - n)).expect("found");
        host.pass(3_000);
        host.deliver();
    }
    let (first, last): (usize, usize) = (asked[..20].iter().sum(), asked[180..].iter().sum());
    assert!(first > 0 && last < first, "{first} of the first twenty were followed, {last} of the last");
}

#[test]
fn hints_that_turn_out_right_are_followed() {
    let mut host = Host::new();
    (0..60).for_each(|n| _ = host.gateway.put(&format!("u/{n}"), "x"));
    for n in 0..60 {
        host.adapter.prefetch(host.now, 0, [key(&format!("u/{n}"))], Some(0.9), Some(1_000));
        host.pass(20);
        host.deliver();
        assert_eq!(host.read(&format!("u/{n}")).map(|answer| answer.served), Ok(Served::Cache), "{n}");
        host.pass(500);
        host.deliver();
    }
}

/// Predicted keys among what is under way.
fn ahead(host: &Host) -> usize {
    let requests = host.sent.iter().map(|sent| BatchRequest::decode(&sent.body).expect("a batch"));
    requests.flat_map(|request| request.items).filter(|item| item.class == Class::Prefetch).count()
}

/// Answers what is under way as a gateway does that leaves out what is fetched ahead.
fn deliver_without_ahead(host: &mut Host, retry_after: Millis) {
    for sent in std::mem::take(&mut host.sent) {
        let request = BatchRequest::decode(&sent.body).expect("a batch");
        let mut answer = host.gateway.answer(&sent.body);
        for (result, item) in answer.results.iter_mut().zip(&request.items) {
            if item.class == Class::Prefetch {
                let detail = String::new();
                result.outcome = Outcome::Error { code: ErrorCode::Overloaded, detail };
            }
        }
        host.adapter.handle_response(host.now, sent.flight, 200, Some(retry_after), &answer.encode());
    }
    host.drain();
}

#[test]
fn nothing_is_fetched_ahead_for_as_long_as_a_gateway_with_too_much_to_do_asks() {
    let mut host = trained();
    let asked = host.get("u/0/profile");
    host.pass(1);
    assert!(ahead(&host) > 0, "something is predicted");
    deliver_without_ahead(&mut host, 3_000);
    assert!(host.answers[&asked].is_ok(), "what somebody waits for is answered");
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.prefetching.used, stats.open_breakers, stats.retries), (0, 0, 0), "{stats:?}");
    let until = host.now + 3_000;
    for text in ["u/1/profile", "u/2/profile", "u/3/profile", "u/4/profile", "u/0/profile"] {
        host.adapter.prefetch(host.now, 0, [key("u/5/profile")], Some(0.9), Some(1_000));
        host.get(text);
        host.pass(1);
        assert_eq!(ahead(&host), 0, "{text}");
        host.deliver();
        host.pass(500);
        host.deliver();
    }
    host.adapter.clear(host.now);
    host.pass(until - host.now);
    host.get("u/0/profile");
    host.pass(1);
    assert!(ahead(&host) > 0, "the time is over");
}

#[test]
fn a_gateway_that_turns_everybody_away_is_asked_again_no_sooner_than_it_says_and_its_breaker_stays_closed() {
    let mut host = trained();
    let asked = host.get("u/0/profile");
    host.pass(1);
    let sent = host.sent.remove(0);
    let problem = br#"{"code":"OVERLOADED"}"#;
    let at = host.now;
    host.adapter.handle_response(at, sent.flight, 503, Some(2_000), problem);
    host.pass(1_999);
    assert!(host.sent.is_empty() && !host.answers.contains_key(&asked));
    host.pass(150);
    assert_eq!(host.sent.len(), 1);
    assert_eq!(ahead(&host), 0, "nothing rides on what is asked again");
    host.deliver();
    assert!(host.answers[&asked].is_ok());
    assert_eq!(host.adapter.stats(host.now).open_breakers, 0);
}
