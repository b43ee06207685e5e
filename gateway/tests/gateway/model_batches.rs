//! The model that clients share, as batches tell of requests and answers bring it.

use std::io::Read as _;

use axum::http::{Method, StatusCode};
use flate2::read::GzDecoder;
use foremap::key::CompositeKey;
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, Class, Fetched, ModelSnapshot, ModelWish, Rider};
use foremap_gateway::auth::Verb;

use crate::client::{Client, Reply};
use crate::model::{BINARY, bearer, knows, stats, two};
use crate::shared::{Shared, until};

/// A client that lets its batches tell.
struct Tab {
    token: String,
    after: Option<u8>,
    fetched: Fetched,
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn items(demand: &[&str], ahead: &[&str]) -> Vec<BatchItem> {
    let item = |text: &&str, class| BatchItem { key: key(text), if_version: None, class };
    let demand = demand.iter().map(|text| item(text, Class::Demand));
    demand.chain(ahead.iter().map(|text| item(text, Class::Prefetch))).collect()
}

impl Tab {
    fn new(name: &str) -> Self {
        Self { token: bearer(name, &[Verb::Get], &[""]), after: None, fetched: Fetched::default() }
    }

    async fn batch(&mut self, origin: &str, cached: &[&str], demand: &[&str], ahead: &[&str]) {
        let items = items(demand, ahead);
        let asked = cached.iter().map(|text| self.fetched.name(&key(text))).collect();
        let rider = Rider { after: self.after, asked };
        self.after = Some(rider.link(&items));
        self.fetched.push(&items);
        let reply = send(origin, &self.token, BatchRequest { items, rider: Some(rider), ..BatchRequest::default() });
        let reply = reply.await;
        assert_eq!((reply.status, reply.header("foremap-model")), (StatusCode::OK, ""), "{reply:?}");
    }
}

async fn send(origin: &str, token: &str, request: BatchRequest) -> Reply {
    let headers = [BINARY, ("authorization", token)];
    Client::new().send(Method::POST, &format!("{origin}/v1/batch"), &headers, request.encode()).await
}

/// Six people look at a page, of which the next one has come ahead, and at one behind that.
async fn six_visit(origin: &str) {
    for person in 0..6 {
        let mut tab = Tab::new(&format!("person-{person}"));
        tab.batch(origin, &[], &["shop/1"], &["shop/2"]).await;
        tab.batch(origin, &["shop/2"], &["cart/3"], &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_batches_tell_is_in_the_model_and_the_model_comes_behind_an_answer() {
    let store = Shared::new();
    let (one, two) = two(&store).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    // Not to the leader.
    six_visit(&two.origin()).await;
    knows(&one.origin(), &reader, "shop/2", true).await;
    knows(&two.origin(), &reader, "cart/3", true).await;
    let observer = stats(&two).inbox.observer;
    assert_eq!((observer.batches, observer.continued, observer.unknown, observer.clients), (12, 6, 0, 6));
    let wish = async |token: &str, known| {
        let model = Some(ModelWish { bytes: 4_096, known });
        send(&two.origin(), token, BatchRequest { items: items(&["shop/1"], &[]), model, ..BatchRequest::default() })
            .await
    };
    // It is not waited for: whoever asks first may go without.
    let read = async |token: &str| {
        for _ in 0..200 {
            let reply = wish(token, 0).await;
            let at = reply.header("foremap-model").parse::<usize>();
            let body = &reply.body;
            let answer = BatchResponse::decode(&body[..at.clone().unwrap_or(body.len())]).expect("an answer");
            assert_eq!(answer.results.len(), 1);
            if let Ok(at) = at {
                let mut model = Vec::new();
                GzDecoder::new(&body[at..]).read_to_end(&mut model).expect("gzip");
                return ModelSnapshot::decode(&model).expect("a model");
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no model came");
    };
    let all = read(&reader).await;
    assert_eq!(all.keys, ["cart/3", "shop/1", "shop/2"]);
    let some = read(&bearer("guest", &[Verb::Get], &["shop"])).await;
    assert_eq!(some.keys, ["shop/1", "shop/2"], "only what the token may read");
    assert_eq!(wish(&reader, all.made).await.header("foremap-model"), "", "it has it");
    let mut short = BatchRequest { model: Some(ModelWish { bytes: 4_096, known: 0 }), ..BatchRequest::default() };
    short.items = items(&["shop/1"], &[]);
    let json = serde_json::to_vec(&short).expect("JSON");
    let headers = [("content-type", "application/json"), ("authorization", reader.as_str())];
    let reply = Client::new().send(Method::POST, &two.url("/v1/batch"), &headers, json).await;
    assert_eq!(reply.header("foremap-model"), "", "binary form only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_what_it_may_not_read_is_not_followed() {
    let store = Shared::new();
    let (_one, two) = two(&store).await;
    let mut tab = Tab { token: bearer("guest", &[Verb::Get], &["shop"]), ..Tab::new("") };
    tab.batch(&two.origin(), &[], &["cart/3"], &[]).await;
    tab.batch(&two.origin(), &[], &["shop/1"], &[]).await;
    until("one is followed", || stats(&two).inbox.observer.batches == 1).await;
    assert_eq!(stats(&two).inbox.observer.continued, 0);
}
