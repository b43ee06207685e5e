use super::super::AdapterConfig;
use super::super::testing::{Host, ORIGIN};
use super::*;
use crate::model::{ClientId, SharedModel, SharedModelConfig, SnapshotOptions};

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
    for text in ["home", "news", "news/today"] {
        host.read(text).expect("found");
        host.pass(20);
        host.deliver();
    }
}

#[test]
fn what_some_clients_told_is_fetched_ahead_by_a_new_one() {
    let mut model = SharedModel::new(SharedModelConfig::default());
    for client in 0..40 {
        let mut host = host(Share::Both, client);
        visit(&mut host);
        // As if there had been demand enough to pay for it.
        host.adapter.earn(1 << 16);
        let told = host.adapter.tell(4_096).expect("paid for");
        model.merge(0, ClientId(client), &Summary::decode(&told).expect("its own form"));
        assert!(host.adapter.tell(4_096).is_none(), "told once");
    }
    let options = SnapshotOptions { min_clients: 5, is_shared: &|_| false, max_bytes: 4_096, compressed: &<[u8]>::len };
    let bytes = model.snapshot(0, &options).encode();
    let issued = |share| {
        let mut host = host(share, 99);
        host.adapter.import_model(&bytes).expect("a model");
        host.read("home").expect("found");
        host.pass(20);
        host.deliver();
        host.adapter.engine.stats().issued
    };
    assert_eq!((issued(Share::Read), issued(Share::Off)), (1, 0));
    assert!(host(Share::Read, 1).adapter.import_model(&bytes[1..]).is_err());
}

#[test]
fn who_only_reads_tells_nothing() {
    for share in [Share::Off, Share::Read] {
        let mut host = host(share, 7);
        visit(&mut host);
        host.adapter.earn(1 << 16);
        assert!(host.adapter.tell(4_096).is_none());
    }
}
