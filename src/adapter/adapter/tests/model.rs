use crate::Millis;
use crate::adapter::AdapterConfig;
use crate::adapter::Share;
use crate::adapter::testing::{Host, ORIGIN};
use crate::model::Summary;
use crate::model::{ClientId, Observer, SharedModel, SharedModelConfig, SnapshotOptions};
use crate::prefetch::Caution;
use crate::protocol::ModelSnapshot;
use crate::protocol::{BatchRequest, model_delta};

/// Pause before a wish is repeated, and time that a model is good for.
const RETRY_MS: Millis = 5_000;
const REFRESH_MS: Millis = 600_000;

fn host(share: Share, seed: u64) -> Host {
    let config = AdapterConfig { origins: vec![ORIGIN.into()], share, seed, ..AdapterConfig::default() };
    let mut host = Host::with(config);
    for text in ["home", "news", "news/today"] {
        host.gateway.put(text, text);
    }
    host
}

/// A visit of three pages.
fn visit(host: &mut Host) {
    for text in ["home", "news", "home", "news/today"] {
        host.read(text).expect("found");
        host.pass(20);
        host.deliver();
    }
}

/// The model of 40 such visits, of which a gateway knows only the batches.
fn model() -> Vec<u8> {
    let (mut model, mut observer) = (SharedModel::new(SharedModelConfig::default()), Observer::new(1));
    let mut told = Vec::new();
    for client in 0..40 {
        let mut host = host(Share::Both, client);
        visit(&mut host);
        for BatchRequest { items, rider, .. } in &host.gateway.requests {
            let rider = rider.as_ref().filter(|_| !items.is_empty()).expect("it tells");
            observer.observe(0, ClientId(client), rider, items, &mut told);
        }
        assert!(host.adapter.poll_summary(4_096).is_none(), "told once");
        let stats = host.adapter.stats(host.now).model;
        assert_eq!((stats.told, stats.untold), (host.gateway.requests.len() as u64, 0));
    }
    observer.due(Millis::MAX, &mut told);
    for told in told {
        model.merge(0, told.client, &Summary::decode(&told.summary).expect("its own form"));
    }
    let options = SnapshotOptions { min_clients: 5, is_shared: &|_| false, max_bytes: 4_096, compressed: &<[u8]>::len };
    let snapshot = model.snapshot(7, &options);
    let next = |text: &str| {
        let last = snapshot.keys.iter().position(|key| key == text)? as u32;
        let rule = snapshot.rules.iter().find(|rule| rule.before.is_none() && rule.last == last)?;
        Some(rule.then.next.iter().map(|(next, _)| snapshot.keys[*next as usize].as_str()).collect::<Vec<_>>())
    };
    assert_eq!(next("home").map(|next| next.len()), Some(2), "also what followed an answer of the cache");
    snapshot.encode()
}

#[test]
fn what_some_clients_told_is_fetched_ahead_by_a_new_one() {
    let bytes = model();
    let issued = |share| {
        let mut host = host(share, 99);
        host.adapter.import_model(host.now, &bytes).expect("a model");
        host.read("home").expect("found");
        host.pass(20);
        host.deliver();
        host.adapter.stats(host.now).prefetch.issued
    };
    assert_eq!((issued(Share::Read), issued(Share::Off)), (1, 0));
    let mut host = host(Share::Read, 1);
    assert!(host.adapter.import_model(host.now, &bytes[1..]).is_err());
    let stats = host.adapter.stats(host.now).model;
    assert_eq!((stats.refused, stats.imported, stats.made), (1, 0, 0));
}

#[test]
fn who_only_reads_tells_nothing() {
    for share in [Share::Off, Share::Read] {
        let mut host = host(share, 7);
        visit(&mut host);
        host.adapter.ahead.earn(1 << 16);
        assert!(host.adapter.poll_summary(4_096).is_none());
        assert!(host.gateway.requests.iter().all(|request| request.rider.is_none()));
        let wishes = host.gateway.requests.iter().filter(|request| request.model.is_some()).count();
        assert_eq!(wishes, usize::from(share == Share::Read));
    }
}

#[test]
fn a_model_is_wished_for_until_there_is_one_and_then_now_and_again() {
    let bytes = model();
    let mut host = host(Share::Read, 3);
    let wish = |host: &mut Host, wait, text: &str| {
        host.pass(wait);
        host.gateway.requests.clear();
        host.gateway.put(text, text);
        host.read(text).expect("found");
        host.gateway.requests.iter().find_map(|request| request.model).map(|wish| wish.known)
    };
    assert_eq!(wish(&mut host, 0, "a"), Some(0));
    assert_eq!(wish(&mut host, RETRY_MS / 2, "b"), None);
    assert_eq!(wish(&mut host, RETRY_MS, "c"), Some(0));
    assert_eq!(wish(&mut host, RETRY_MS, "d"), None, "twice as long");
    host.adapter.import_model(host.now, &bytes).expect("a model");
    assert_eq!(wish(&mut host, REFRESH_MS / 2, "e"), None);
    assert_eq!(wish(&mut host, REFRESH_MS, "f"), Some(7));
}

#[test]
fn where_nothing_may_be_fetched_ahead_no_model_is_read() {
    let mut host = host(Share::Both, 3);
    host.adapter.set_caution(Caution::Off);
    visit(&mut host);
    assert!(host.gateway.requests.iter().all(|request| request.model.is_none()));
}

#[test]
fn the_next_model_comes_as_a_difference_and_a_wrong_one_costs_a_whole_one() {
    let older = model();
    let newer = ModelSnapshot { made: 8, threshold: 99, ..ModelSnapshot::decode(&older).expect("a model") }.encode();
    let delta = model_delta(&older, &newer);
    assert!(delta.len() < newer.len() / 2);
    let mut host = host(Share::Read, 3);
    assert!(host.adapter.import_model(0, &delta).is_err(), "there is none to lead from");
    assert_eq!(host.adapter.import_model(0, &older), Ok(&older[..]));
    assert_eq!(host.adapter.import_model(0, &delta), Ok(&newer[..]));
    assert_eq!(host.adapter.import_model(0, &model_delta(&newer, &newer)), Ok(&newer[..]));
    let stats = host.adapter.stats(host.now).model;
    assert_eq!((stats.made, stats.bytes, stats.imported, stats.deltas), (8, newer.len(), 3, 2));
    // Once more from the older one, which is not there any more.
    assert!(host.adapter.import_model(0, &delta).is_err());
    let stats = host.adapter.stats(host.now).model;
    assert_eq!((stats.made, stats.bytes, stats.refused), (0, 0, 2));
    assert_eq!(host.adapter.import_model(0, &newer), Ok(&newer[..]));
}
