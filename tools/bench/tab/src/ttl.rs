//! Cache that one would write instead: answers are kept for a fixed time and served as they are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{Action, Answer, FlightId, RequestId, Served};
use foremap::key::CompositeKey;
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, Class, Keymap, MapKnowledge, Outcome, ReadPoint};

/// Time for which an answer is kept.
pub const TTL_MS: Millis = 60_000;

enum Entry {
    /// Asked for, and who waits for it.
    UnderWay(Vec<RequestId>),
    Kept {
        keymap: Option<Arc<Keymap>>,
        until: Millis,
    },
}

/// A map with a time to live, one request for each key that is not in it. It is driven as an adapter is.
pub struct TtlCache {
    entries: HashMap<CompositeKey, Entry>,
    flights: HashMap<FlightId, CompositeKey>,
    actions: VecDeque<Action>,
    origin: Arc<str>,
    map: MapKnowledge,
    last_id: u32,
}

impl TtlCache {
    /// An empty cache in front of `origin`. It knows the map, so that answers do not bring it: it has no use for it.
    pub fn new(origin: &str, map: MapKnowledge) -> Self {
        Self {
            entries: HashMap::new(),
            flights: HashMap::new(),
            actions: VecDeque::new(),
            origin: origin.into(),
            map,
            last_id: 0,
        }
    }

    /// The next thing the host must do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Asks for a key.
    pub fn get(&mut self, now: Millis, key: &CompositeKey) -> RequestId {
        let request = self.fresh_id();
        match self.entries.get_mut(key) {
            Some(Entry::Kept { keymap, until }) if now < *until => {
                let keymap = keymap.clone();
                self.actions.push_back(Action::Answer { request, answer: answer(keymap, Served::Cache) });
            }
            Some(Entry::UnderWay(waiting)) => waiting.push(request),
            _ => {
                self.entries.insert(key.clone(), Entry::UnderWay(vec![request]));
                self.send(key);
            }
        }
        request
    }

    fn send(&mut self, key: &CompositeKey) {
        let flight = self.fresh_id();
        let item = BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
        let body = BatchRequest { items: vec![item], map: Some(self.map), ..BatchRequest::default() }.encode();
        self.flights.insert(flight, key.clone());
        let (origin, timeout_ms) = (self.origin.clone(), 10_000);
        self.actions.push_back(Action::Send { scope: 0, flight, origin, body, timeout_ms, prefetch: false });
    }

    /// The answer to a request.
    pub fn on_response(&mut self, now: Millis, flight: FlightId, body: &[u8]) {
        let Some(key) = self.flights.remove(&flight) else { return };
        let outcome = BatchResponse::decode(body).ok().and_then(|response| response.results.into_iter().next());
        let keymap = outcome.and_then(|result| match result.outcome {
            Outcome::Found { keymap } => Some(Arc::new(keymap)),
            _ => None,
        });
        let kept = Entry::Kept { keymap: keymap.clone(), until: now + TTL_MS };
        let Some(Entry::UnderWay(waiting)) = self.entries.insert(key, kept) else { return };
        for (nth, request) in waiting.into_iter().enumerate() {
            let served = if nth == 0 { Served::Network } else { Served::Joined };
            self.actions.push_back(Action::Answer { request, answer: answer(keymap.clone(), served) });
        }
    }

    fn fresh_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }
}

fn answer(keymap: Option<Arc<Keymap>>, served: Served) -> Answer {
    Answer { keymap, served, age_ms: 0, at: ReadPoint::default(), stale: false }
}

#[cfg(test)]
mod tests {
    use foremap::partition::{Epoch, StorageLayout};

    use super::*;
    use crate::store::Store;

    fn served(cache: &mut TtlCache) -> Vec<Served> {
        let actions: Vec<Action> = std::iter::from_fn(|| cache.next_action()).collect();
        let answers = actions.into_iter().filter_map(|action| match action {
            Action::Answer { answer, .. } => Some(answer.served),
            _ => None,
        });
        answers.collect()
    }

    #[test]
    fn an_answer_is_served_until_its_time_is_over() {
        let key = CompositeKey::parse("a").expect("valid");
        let store = Store::new(StorageLayout::default(), std::slice::from_ref(&key));
        let map = MapKnowledge { epoch: Epoch { incarnation: 1, number: 1 }, hash: 0 };
        let mut cache = TtlCache::new("http://node-0", map);
        cache.get(0, &key);
        cache.get(10, &key);
        let Some(Action::Send { flight, .. }) = cache.next_action() else { panic!("nothing sent") };
        assert_eq!(cache.next_action(), None, "one request for both");
        let found = Outcome::Found { keymap: store.read(&key).value.expect("written") };
        let result = foremap::protocol::ItemResult { outcome: found, at: ReadPoint::default(), node: 1 };
        let body = BatchResponse { results: vec![result], ..BatchResponse::default() }.encode();
        cache.on_response(60, flight, &body);
        assert_eq!(served(&mut cache), [Served::Network, Served::Joined]);
        cache.get(60 + TTL_MS - 1, &key);
        assert_eq!(served(&mut cache), [Served::Cache]);
        cache.get(60 + TTL_MS, &key);
        assert!(matches!(cache.next_action(), Some(Action::Send { .. })));
    }
}
