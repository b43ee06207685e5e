use proptest::prelude::*;

use super::*;
use crate::key::CompositeKey;
use crate::model::{ClientId, MAX_TOLD_BYTES, Path, PathStep, Summary};
use crate::protocol::{ErrorCode, ModelSnapshot, apply_model_delta, is_model_delta};

const HOUR: Millis = 3_600_000;

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).expect("valid")
}

fn summary(instance: u64, keys: &[&str]) -> Vec<u8> {
    let keys: Vec<CompositeKey> = keys.iter().map(|key| CompositeKey::parse(key).expect("valid")).collect();
    let steps = (0..keys.len() as u32).map(|key| PathStep { key, repeated: false }).collect();
    Summary { instance, epoch: 1, keys, paths: vec![Path { told: 0, steps }] }.encode()
}

fn caller(client: u64) -> Caller {
    Caller { client: ClientId(client), prefixes: None, is_verified: true }
}

/// Storage of a host.
#[derive(Default, Clone)]
struct Disk {
    rows: Vec<Vec<u8>>,
    counts: Vec<u8>,
    shares: Vec<u8>,
    model: Vec<u8>,
}

impl Disk {
    fn pending(&self) -> PendingRows {
        PendingRows { rows: self.rows.len(), bytes: self.rows.iter().map(Vec::len).sum() }
    }

    fn tell(&mut self, hub: &mut Hub, client: u64, keys: &[&str]) {
        let taken = hub.take(HOUR, &caller(client), &summary(client, keys), self.pending());
        self.rows.push(taken.expect("taken").0);
    }

    /// A round, of which everything is stored.
    fn round(&mut self, hub: &mut Hub, now: Millis) -> Round {
        if !hub.is_merging() {
            hub.resume(&self.counts, &self.shares);
        }
        self.rows.iter().for_each(|row| hub.merge(now, row));
        let round = hub.round(now, self.pending(), &<[u8]>::len);
        if let Some(counts) = round.counts.clone() {
            self.counts = counts;
            self.shares = round.shares.clone().expect("with the counts");
            self.rows.clear();
        }
        if let Some(model) = round.model.clone() {
            self.model = model;
        }
        round
    }

    fn hub(&self) -> Hub {
        let mut hub = Hub::new(config());
        hub.serve(&self.model);
        hub
    }
}

fn config() -> HubConfig {
    HubConfig { clients: 2, shared: vec![prefix("open")], every_ms: 60_000 }
}

fn keys(hub: &mut Hub, prefixes: Option<&[KeyPrefix]>) -> Vec<String> {
    let body = hub.body(prefixes, None, Encoding::Identity, None, &|bytes, _| bytes.to_vec()).expect("fine");
    body.map_or_else(Vec::new, |body| ModelSnapshot::decode(&body.bytes).expect("a model").keys)
}

#[test]
fn what_was_told_comes_back_as_a_model_wherever_the_hub_ends() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    disk.tell(&mut hub, 1, &["a/1", "a/2"]);
    disk.tell(&mut hub, 2, &["a/1", "a/2"]);
    // It ends before the first round, and again after it.
    hub = disk.hub();
    let round = disk.round(&mut hub, HOUR);
    assert!(round.model.is_some() && round.counts.is_some());
    assert_eq!(keys(&mut hub, None), ["a/1", "a/2"]);
    assert!(disk.rows.is_empty());
    hub = disk.hub();
    assert_eq!(keys(&mut hub, None), ["a/1", "a/2"]);
    disk.tell(&mut hub, 3, &["b/1", "b/2"]);
    disk.tell(&mut hub, 4, &["b/1", "b/2"]);
    disk.round(&mut hub, HOUR + 60_000);
    assert_eq!(keys(&mut hub, None), ["a/1", "a/2", "b/1", "b/2"]);
}

#[test]
fn who_has_an_earlier_model_gets_what_leads_from_it() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    let body = |hub: &mut Hub, prefixes: Option<&[KeyPrefix]>, from| {
        let body = hub.body(prefixes, None, Encoding::Identity, from, &|bytes, _| bytes.to_vec()).expect("fine");
        body.expect("a model").bytes
    };
    let only = [prefix("a")];
    let mut older: Vec<(u64, Vec<u8>, bool)> = Vec::new();
    for round in 0..4 {
        let keys: Vec<String> = (0..40).map(|key| format!("a/{round}/{key}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for client in [1, 2] {
            disk.tell(&mut hub, client, &keys);
        }
        disk.round(&mut hub, HOUR * (round + 1));
        for prefixes in [None, Some(&only[..])] {
            let whole = body(&mut hub, prefixes, None);
            for (made, known, of) in &older {
                let delta = body(&mut hub, prefixes, Some(*made));
                if *of == prefixes.is_some() {
                    assert!(is_model_delta(&delta) && delta.len() < whole.len());
                    assert_eq!(apply_model_delta(known, &delta).as_deref(), Ok(&whole[..]));
                }
            }
            let made = ModelSnapshot::decode(&whole).expect("a model").made;
            assert!(body(&mut hub, prefixes, Some(made)).len() < 40, "there is no other one");
            assert_eq!(body(&mut hub, prefixes, Some(made + 1)), whole, "not known here");
            older.push((made, whole, prefixes.is_some()));
        }
    }
    hub.forget(&prefix("a/1"));
    assert!(!is_model_delta(&body(&mut hub, None, Some(older[0].0))), "nor kept any longer");
}

#[test]
fn rows_that_are_merged_twice_count_once() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    disk.tell(&mut hub, 1, &["a/1", "a/2"]);
    disk.tell(&mut hub, 2, &["a/1", "a/2"]);
    let rows = disk.rows.clone();
    disk.round(&mut hub, HOUR);
    // The counts were stored, but the rows did not leave.
    disk.rows = rows;
    hub = disk.hub();
    hub.resume(&disk.counts, &disk.shares);
    disk.rows.iter().for_each(|row| hub.merge(HOUR, row));
    assert_eq!(hub.keeper.as_ref().expect("loaded").stats().observations, 2);
}

#[test]
fn nobody_counts_more_often_because_the_hub_was_gone() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    for epoch in 0..10 {
        let told = summary(100 + epoch, &["a/1", "a/2"]);
        let taken = hub.take(HOUR, &caller(1), &told, disk.pending()).expect("taken");
        disk.rows.push(taken.0);
        disk.round(&mut hub, HOUR);
        hub = disk.hub();
    }
    hub.resume(&disk.counts, &disk.shares);
    assert_eq!(hub.keeper.as_ref().expect("loaded").stats().capped, 8);
    // The next hour is another one.
    let told = summary(7, &["a/1", "a/2"]);
    let row = hub.take(0, &caller(1), &told, PendingRows::default()).expect("taken").0;
    hub.merge(2 * HOUR, &row);
    assert_eq!(hub.keeper.as_ref().expect("loaded").stats().capped, 8);
}

#[test]
fn it_wants_to_be_woken_until_everything_is_told_and_stored() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    let taken = hub.take(HOUR, &caller(1), &summary(1, &["a/1", "a/2"]), PendingRows::default()).expect("taken");
    assert_eq!(taken.1, HOUR + 15_000);
    let much = PendingRows { rows: 1 << 12, bytes: 0 };
    assert_eq!(hub.take(HOUR, &caller(2), &summary(2, &["a/1", "a/2"]), much).expect("taken").1, HOUR);
    disk.tell(&mut hub, 1, &["a/1", "a/2"]);
    // The first round makes a model at once.
    assert_eq!(disk.round(&mut hub, HOUR).wake, None);
    // Little news waits for its time, and the counts for half of it.
    disk.tell(&mut hub, 2, &["a/1", "a/2"]);
    let mut now = HOUR;
    let mut wakes = 0;
    loop {
        now += 15_000;
        wakes += 1;
        if disk.round(&mut hub, now).wake.is_none() {
            break;
        }
    }
    assert_eq!((wakes, disk.rows.len()), (4, 0));
    assert_eq!(keys(&mut hub, None), ["a/1", "a/2"]);
}

#[test]
fn many_rows_leave_at_once() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    disk.tell(&mut hub, 1, &["a/1", "a/2"]);
    assert!(disk.round(&mut hub, HOUR).counts.is_some());
    for client in 0..4_097 {
        // Half a minute must pass before counts are stored again, unless there are so many.
        assert!(client % 1_000 != 999 || disk.round(&mut hub, HOUR + 1).counts.is_none());
        disk.tell(&mut hub, client, &["b/1", "b/2"]);
    }
    assert!(disk.round(&mut hub, HOUR + 1).counts.is_some() && disk.rows.is_empty());
}

#[test]
fn what_may_not_be_told_is_refused_as_by_a_gateway() {
    let mut hub = Hub::new(config());
    let mut refused = |caller: &Caller, body: &[u8], pending| {
        let refusal = hub.take(0, caller, body, pending).expect_err("refused");
        (refusal.problem.code, refusal.problem.limit, refusal.retry_after_ms)
    };
    let told = summary(1, &["a/1", "b/1"]);
    let none = PendingRows::default();
    let only = |text: &str| Caller { prefixes: Some(vec![prefix(text)]), ..caller(1) };
    assert_eq!(refused(&caller(1), b"FMSM", none).0, ErrorCode::BadRequest);
    assert_eq!(refused(&only("a"), &told, none).0, ErrorCode::Forbidden);
    let large = vec![0; Summary::MAX_BYTES + 1];
    assert_eq!(refused(&caller(1), &large, none), (ErrorCode::BodyTooLarge, Some(65_536), None));
    assert_eq!(refused(&caller(1), &told, PendingRows::MAX).0, ErrorCode::Unavailable);
    // An address may tell so much a minute; what cannot be read counts as well.
    let address = Caller { is_verified: false, ..caller(9) };
    let nonsense = vec![7; MAX_TOLD_BYTES as usize];
    assert_eq!(refused(&address, &nonsense, none).0, ErrorCode::BadRequest);
    let (code, limit, wait) = refused(&address, &told, none);
    assert_eq!((code, limit), (ErrorCode::TooManyRequests, Some(65_536)));
    assert!(wait.is_some_and(|wait| wait > 0));
    let page = hub.take_page(0, b"nonsense", none).expect_err("refused");
    assert_eq!(page.problem.code, ErrorCode::BadRequest);
    assert_eq!(
        hub.body(None, Some(1), Encoding::Gzip, None, &|bytes, _| bytes.to_vec()).expect_err("refused").problem.code,
        ErrorCode::BadRequest
    );
}

#[test]
fn a_token_sees_its_own_prefixes_and_nothing_else() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    for client in 1..4 {
        disk.tell(&mut hub, client, &["a/1", "a/2"]);
        disk.tell(&mut hub, 10 + client, &["b/1", "b/2"]);
    }
    disk.round(&mut hub, HOUR);
    assert_eq!(keys(&mut hub, None).len(), 4);
    assert_eq!(keys(&mut hub, Some(&[prefix("a")])), ["a/1", "a/2"]);
    assert_eq!(keys(&mut hub, Some(&[])), Vec::<String>::new());
    let body = |hub: &mut Hub, prefixes: &[KeyPrefix]| {
        let body = hub.body(Some(prefixes), None, Encoding::Gzip, None, &|bytes, _| bytes.to_vec());
        body.expect("fine").expect("a model").tag
    };
    let kept = hub.served.as_ref().map_or(0, ServedSnapshots::bodies);
    assert_eq!(body(&mut hub, &[prefix("a"), prefix("b")]), body(&mut hub, &[prefix("b"), prefix("a")]));
    assert_eq!(hub.served.as_ref().map_or(0, ServedSnapshots::bodies), kept + 1);
    for n in 0..100 {
        body(&mut hub, &[prefix(&format!("x{n}"))]);
    }
    assert_eq!(hub.served.as_ref().map_or(0, ServedSnapshots::bodies), ServedSnapshots::MAX_BODIES);
}

#[test]
fn what_is_forgotten_is_in_nothing_that_is_stored() {
    let (mut disk, mut hub) = (Disk::default(), Hub::new(config()));
    for client in 1..4 {
        disk.tell(&mut hub, client, &["open/1", "open/2", "user/17/secret"]);
    }
    disk.round(&mut hub, HOUR);
    disk.tell(&mut hub, 5, &["open/1", "user/17/late"]);
    let contains = |bytes: &[u8]| bytes.windows(7).any(|window| window == b"user/17");
    assert!(contains(&disk.counts));
    // As a host does: with what was told merged first.
    hub = disk.hub();
    hub.resume(&disk.counts, &disk.shares);
    disk.rows.iter().for_each(|row| hub.merge(HOUR, row));
    disk.rows.clear();
    hub.forget(&prefix("user/17"));
    let round = disk.round(&mut hub, HOUR);
    assert!(round.model.is_some() && round.counts.is_some());
    assert!(!contains(&disk.counts) && !contains(&disk.model));
    assert_eq!(keys(&mut hub, None), ["open/1", "open/2"]);
}

#[test]
fn clients_are_named_by_subject_or_address() {
    let subject = "0123456789abcdef0123456789abcdef";
    assert_eq!(client_named(subject), ClientId::of_subject(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    assert_eq!(client_named("192.0.2.1"), client_named("::ffff:192.0.2.1"));
    assert_ne!(client_named("192.0.2.1"), client_named("192.0.2.2"));
    assert_eq!(client_named("2001:db8::1"), client_named("2001:db8::2"));
    assert_eq!(client_named(""), client_named("nonsense"));
}

proptest! {
    #[test]
    fn whatever_is_stored_or_told_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut hub = Hub::new(config());
        hub.serve(&bytes);
        hub.resume(&bytes, &bytes);
        hub.merge(0, &bytes);
        let _ = hub.take(0, &caller(1), &bytes, PendingRows::default());
        let _ = hub.take_page(0, &bytes, PendingRows::default());
        let _ = shares(&bytes, 1, None);
        hub.round(0, PendingRows::default(), &<[u8]>::len);
        prop_assert!(hub.is_merging());
    }
}
