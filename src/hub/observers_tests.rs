use super::*;
use crate::model::Summary;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn page(observers: &mut Observers) -> Vec<(u64, Summary)> {
    let page = Handover::decode(&observers.tell(0)[""]).expect("its own form");
    page.told.iter().map(|told| (told.client.0, Summary::decode(&told.summary).expect("its own form"))).collect()
}

#[test]
fn each_client_is_told_of_for_itself_and_each_request_once() {
    let mut observers = Observers::new(7);
    for (client, text) in [(1, "a"), (2, "x"), (1, "b"), (2, "y"), (1, "a")] {
        observers.note(0, ClientId(client), "", &key(text));
    }
    let mut first = page(&mut observers);
    first.sort_by_key(|(client, _)| *client);
    let texts = |summary: &Summary| summary.keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(first.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(texts(&first[0].1), ["a", "b"]);
    assert_eq!(first[0].1.paths[0].steps.iter().map(|step| step.repeated).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(texts(&first[1].1), ["x", "y"]);
    assert_ne!(first[0].1.instance, first[1].1.instance);
    assert!(observers.tell(0).is_empty());
    observers.note(0, ClientId(1), "", &key("c"));
    observers.note(0, ClientId(1), "", &key("d"));
    let again = page(&mut observers);
    assert_eq!((again[0].1.epoch, again[0].1.paths[0].told), (2, 2));
}

#[test]
fn they_are_told_when_they_are_many_or_have_waited() {
    let mut observers = Observers::new(7);
    assert!(!observers.is_due(1_000_000));
    observers.note(5, ClientId(1), "", &key("a"));
    assert!(!observers.is_due(5 + PATIENCE - 1) && observers.is_due(5 + PATIENCE));
    for at in 0..MUCH {
        observers.note(6, ClientId(1), "", &key(&format!("k/{at}")));
    }
    assert!(observers.is_due(6));
    // As many as a trail remembers, whatever their keys.
    assert!(page(&mut observers)[0].1.keys.len() > 200);
    assert!(!observers.is_due(1_000_000));
}

#[test]
fn memory_and_pages_are_bounded() {
    let mut observers = Observers::new(7);
    for client in 0..2 * MAX_CLIENTS as u64 {
        for at in 0..40 {
            observers.note(0, ClientId(client), "", &key(&format!("{client:0>900}/{at}")));
        }
    }
    assert_eq!(observers.stats().clients, MAX_CLIENTS);
    let page = &observers.tell(0)[""];
    assert!(page.len() <= Handover::MAX_ENCODED, "{}", page.len());
    assert!(Handover::decode(page).expect("its own form").told.len() > 20);
}

#[test]
fn each_shard_gets_a_page_of_its_own() {
    let mut observers = Observers::new(7);
    for (client, text) in [(1, "a/1"), (2, "b/1"), (1, "a/2"), (2, "b/2"), (3, "a/1"), (3, "a/3")] {
        observers.note(0, ClientId(client), "", &key(text));
    }
    let pages = observers.tell(1);
    let clients = |shard: &str| {
        let page = Handover::decode(&pages[shard]).expect("its own form");
        let mut clients: Vec<u64> = page.told.iter().map(|told| told.client.0).collect();
        clients.sort_unstable();
        clients
    };
    assert_eq!((pages.len(), clients("a"), clients("b")), (2, vec![1, 3], vec![2]));
}
