//! Lists whose items are then asked for, one after another: none of them should take a request of its own.

use foremap::Millis;
use foremap::adapter::{Action, Adapter, AdapterConfig, GetRequest, Listing, Served};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{Epoch, StorageLayout};
use foremap::protocol::{
    BatchRequest, BatchResponse, Class, ItemResult, Keymap, KeymapFields, ListPage, Outcome, ReadPoint,
};
use serde::Serialize;

use super::event::ONE_WAY_MS;
use super::pace::START;

/// Keymaps on a list.
pub const ITEMS: usize = 50;
/// From one look at an item to the next: all of them are asked for within the bound of a browser.
const LOOK_MS: Millis = 100;
const BOUND_MS: u32 = 10_000;
const EPOCH: Epoch = Epoch { incarnation: 1, number: 1 };

/// Fate of the items of so many lists.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ListFigures {
    /// Lists asked for, each for a prefix of its own.
    pub lists: usize,
    /// Items asked for: all that were listed.
    pub gets: u64,
    /// Answered from the cache, with the version that was listed.
    pub hits: u64,
    /// Requests with a key that somebody waits for.
    pub requests: u64,
    /// Keys fetched ahead.
    pub ahead: u64,
    /// Requests without keys, for changes.
    pub exchanges: u64,
}

/// One client of default settings lists so many prefixes, and asks for what it finds. Where `heeded` is false it is not
/// given the lists, as if they filled nothing.
///
/// # Panics
/// If a key or an answer is not as foremap has them.
pub fn run(lists: usize, heeded: bool) -> ListFigures {
    let config = AdapterConfig {
        origins: vec!["http://gateway".to_owned()],
        max_staleness_ms: BOUND_MS,
        ..AdapterConfig::default()
    };
    let mut host = Host {
        adapter: Adapter::new(config).expect("valid options"),
        layout: StorageLayout::default(),
        now: 0,
        wake: None,
        version: START * 1_000,
        figures: ListFigures { lists, ..ListFigures::default() },
    };
    (0..lists).for_each(|list| host.list(list, heeded));
    host.figures
}

struct Host {
    adapter: Adapter,
    layout: StorageLayout,
    /// Time of the client's clock.
    now: Millis,
    wake: Option<Millis>,
    /// The newest version, and the position of every log.
    version: u64,
    figures: ListFigures,
}

impl Host {
    /// Lists one prefix, then asks for its items.
    fn list(&mut self, list: usize, heeded: bool) {
        let prefix = KeyPrefix::parse(&format!("shelf-{list}")).expect("a prefix");
        let keys: Vec<CompositeKey> = (0..ITEMS)
            // By no order that could be guessed, so that nothing but the list can know them.
            .map(|item| format!("shelf-{list}/{:x}", (list * ITEMS + item).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .map(|text| CompositeKey::parse(&text).expect("a key"))
            .collect();
        let fence = self.adapter.fence(self.now);
        self.pass(2 * ONE_WAY_MS);
        self.version += 1;
        if heeded {
            let page = self.page(&keys);
            let listing = Listing { prefix: &prefix, fence, page: &page, first: true };
            self.adapter.handle_list(self.now, 0, "s", &listing);
        }
        for key in &keys {
            self.pass(LOOK_MS);
            self.get(key);
        }
    }

    /// The page as it comes off the wire.
    fn page(&self, keys: &[CompositeKey]) -> ListPage {
        let items = keys.iter().map(|key| (self.keymap(key), self.point(self.layout.shard(key))));
        let page = ListPage { epoch: EPOCH, clock: None, items: items.collect(), next: None };
        ListPage::decode(&page.encode()).expect("what is encoded can be decoded")
    }

    fn keymap(&self, key: &CompositeKey) -> Keymap {
        Keymap { key: key.clone(), version: self.version, fields: KeymapFields::default() }
    }

    fn point(&self, shard: u16) -> ReadPoint {
        ReadPoint { shard, position: self.version, age_ms: 5 }
    }

    fn get(&mut self, key: &CompositeKey) {
        self.figures.gets += 1;
        let request = self.adapter.handle_request(
            self.now,
            GetRequest { stream: "s", max_staleness_ms: BOUND_MS, ..GetRequest::new(key.clone()) },
        );
        let version = self.version;
        self.act(|figures, action| {
            if let Action::Answer { request: answered, answer } = action {
                let seen = answer.keymap.as_ref().map(|keymap| (&keymap.key, keymap.version));
                let is_right = *answered == request && seen == Some((key, version));
                figures.hits += u64::from(is_right && answer.served == Served::Cache);
            }
        });
    }

    /// Lets `ms` pass.
    fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        while let Some(at) = self.wake.take_if(|at| *at <= end) {
            self.now = self.now.max(at);
            self.adapter.handle_timeout(self.now, 0);
            self.act(|_, _| {});
        }
        self.now = end;
    }

    /// Does what the adapter asks for; the network takes no time here.
    fn act(&mut self, mut see: impl FnMut(&mut ListFigures, &Action)) {
        while let Some(action) = self.adapter.poll_action() {
            see(&mut self.figures, &action);
            match action {
                Action::Send { flight, body, .. } => {
                    let request = BatchRequest::decode(&body).expect("a batch");
                    {}
                    let demanded = request.items.iter().any(|item| item.class == Class::Demand);
                    let ahead = request.items.iter().filter(|item| item.class != Class::Demand).count();
                    self.figures.requests += u64::from(demanded);
                    self.figures.ahead += ahead as u64;
                    self.figures.exchanges += u64::from(request.items.is_empty());
                    let body = self.answer(&request).encode();
                    self.adapter.handle_response(self.now, flight, 200, None, &body);
                }
                Action::Wake { at, .. } => self.wake = Some(at),
                _ => {}
            }
        }
    }

    /// Every key is there.
    fn answer(&self, request: &BatchRequest) -> BatchResponse {
        let results = request.items.iter().map(|item| {
            let keymap = self.keymap(&item.key);
            let at = self.point(self.layout.shard(&item.key));
            ItemResult { outcome: Outcome::Found { keymap }, at, node: 1 }
        });
        let positions = request.cursors.iter().map(|cursor| self.point(cursor.shard)).collect();
        BatchResponse { epoch: EPOCH, results: results.collect(), positions, ..BatchResponse::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_of_a_list_takes_a_request_of_its_own() {
        let figures = run(2_000, true);
        assert_eq!((figures.gets, figures.hits, figures.requests), (100_000, 100_000, 0), "{figures:?}");
    }

    #[test]
    fn without_the_lists_each_takes_one() {
        let figures = run(100, false);
        assert!(figures.requests > 4_900 && figures.hits == 0, "{figures:?}");
    }
}
