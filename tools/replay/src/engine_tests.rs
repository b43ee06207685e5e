use super::*;

fn names(clients: u32) -> Vec<String> {
    (0..clients).map(|client| format!("c{client}")).collect()
}

fn observe(engines: &mut Engines<'_>, at: usize, client: u32, key: &str) -> Vec<CompositeKey> {
    let (key, mut orders) = (CompositeKey::parse(key).expect("a key"), Vec::new());
    let access = foremap::analyzer::Access::Miss;
    let observed = Observed { at, now: at as u64, client, key: &key, access };
    engines.observe(&observed, &mut |_| false, &mut orders);
    orders
}

#[test]
fn a_client_alone_has_an_engine_from_its_first_request_to_its_last() {
    let clients = names(3);
    let mut engines = Engines::new(Models::Alone, true, PrefetchConfig::default(), &clients);
    let mut most = 0;
    for client in 0..3 {
        engines.opened(0, client);
        most = most.max(engines.open.len());
        observe(&mut engines, 0, client, "a");
        engines.closed(client);
    }
    assert_eq!((most, engines.open.len()), (1, 0));
    engines.opened(0, 0);
    assert!(engines.open[&0].stats().requests == 0, "nothing is left of the first one");
}

#[test]
fn pooled_clients_share_an_engine_that_outlives_them() {
    let clients = names(3);
    for private in [true, false] {
        let mut engines = Engines::new(Models::Pooled, private, PrefetchConfig::default(), &clients);
        for client in 0..3 {
            engines.opened(0, client);
            observe(&mut engines, 0, client, "a");
            engines.closed(client);
        }
        assert_eq!((engines.open.len(), engines.open[&0].stats().requests), (1, 3));
    }
}

#[test]
fn what_engines_say_is_added_up_when_they_go_and_at_the_end() {
    let clients = names(2);
    let alone = |names: &[u32], gone: &[u32]| {
        let mut engines = Engines::new(Models::Alone, true, PrefetchConfig::default(), &clients);
        for &client in names {
            engines.opened(0, client);
            (0..60).for_each(|at| drop(observe(&mut engines, at, client, ["a", "b", "c"][at % 3])));
        }
        gone.iter().for_each(|client| engines.closed(*client));
        engines.finish()
    };
    let (one, both) = (alone(&[0], &[0]), alone(&[0, 1], &[1]));
    assert!(one.all.predictions() > 0 && one.peak_bytes > 0);
    assert_eq!(both.all.predictions(), 2 * one.all.predictions());
    assert_eq!(both.peak_bytes, one.peak_bytes, "the largest, not the sum");
    let early = |summary: &Summary| summary.early.as_ref().map_or(0, Reliability::predictions);
    assert!(early(&one) > 0 && early(&both) == 2 * early(&one), "what nobody told is for nothing");
}
