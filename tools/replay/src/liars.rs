//! Clients that tell of ways that nobody went.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use foremap::key::CompositeKey;
use foremap::model::{Path, PathStep, Summary};
use foremap::partition::xxh3;
use fxhash::FxHashMap;

use super::settings::Lie;

/// Keys that are lied about: those asked for most so far, as everybody may know who reads a model.
const POPULAR: usize = 16;
/// Requests after which it is looked up anew which they are.
const LOOK_EVERY: usize = 256;

/// Clients that lie, and what about.
pub(super) struct Liars {
    /// One of so many clients.
    one_of: NonZeroU32,
    lie: Lie,
    requests: FxHashMap<CompositeKey, u32>,
    seen: usize,
    popular: Vec<CompositeKey>,
    /// Lies told so far.
    told: u64,
}

impl Liars {
    pub(super) fn new(one_of: NonZeroU32, lie: Lie) -> Self {
        Self { one_of, lie, requests: FxHashMap::default(), seen: 0, popular: Vec::new(), told: 0 }
    }

    /// A request of anybody.
    pub(super) fn note(&mut self, key: &CompositeKey) {
        *self.requests.entry(key.clone()).or_default() += 1;
        if self.seen.is_multiple_of(LOOK_EVERY) {
            let mut all: Vec<(&CompositeKey, u32)> = self.requests.iter().map(|(key, count)| (key, *count)).collect();
            all.sort_unstable_by_key(|&(key, count)| (Reverse(count), key.as_str()));
            self.popular = all.into_iter().take(POPULAR).map(|(key, _)| key.clone()).collect();
        }
        self.seen += 1;
    }

    /// Tells whether a client lies.
    pub(super) fn has(&self, client: u32) -> bool {
        client % self.one_of == self.one_of.get() - 1
    }

    /// Lie of a client in place of the truth: that from a popular key, however it was come to, it went to one that nobody
    /// asks for, once for each request that it would have told of, or of all popular keys. It says each time that it came
    /// another way: so that this is not twice the same.
    pub(super) fn instead_of(&mut self, truth: &Summary) -> Summary {
        let mut summary = Summary { instance: truth.instance, epoch: truth.epoch, ..Summary::default() };
        summary.keys.clone_from(&self.popular);
        let new = truth.paths.iter().map(|path| path.steps.len() - usize::from(path.told)).sum();
        let lies = if self.lie == Lie::Flood { self.popular.len() } else { new };
        for _ in 0..lies {
            let at = self.told as usize % self.popular.len().max(1);
            let Some(key) = self.popular.get(at) else { break };
            self.told += 1;
            let draw = xxh3(3, &self.told.to_le_bytes());
            let name = match self.lie {
                Lie::Common | Lie::Flood => xxh3(4, key.as_str().as_bytes()),
                Lie::Novel => draw,
            };
            let Ok(junk) = CompositeKey::parse(&format!("nowhere/{name:016x}")) else { continue };
            let step = |key: usize| PathStep { key: key as u32, repeated: false };
            let before = draw as usize % self.popular.len();
            let steps = vec![step(before), step(at), step(summary.keys.len())];
            summary.keys.push(junk);
            summary.paths.push(Path { told: 0, steps });
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liars(lie: Lie) -> Liars {
        let mut liars = Liars::new(NonZeroU32::new(20).expect("not zero"), lie);
        for at in 0..4 * LOOK_EVERY {
            let key = if at % 3 == 0 { "home".to_owned() } else { format!("page/{}", at % 500) };
            liars.note(&CompositeKey::parse(&key).expect("valid"));
        }
        liars
    }

    #[test]
    fn one_of_twenty_clients_lies() {
        let liars = liars(Lie::Common);
        assert_eq!((0..200).filter(|&client| liars.has(client)).count(), 10);
    }

    #[test]
    fn lies_lead_from_popular_keys_to_junk() {
        let steps = vec![PathStep { key: 0, repeated: false }; 1 + POPULAR];
        let keys = vec![CompositeKey::parse("truth").expect("valid")];
        let truth = Summary { instance: 7, epoch: 3, keys, paths: vec![Path { told: 1, steps }] };
        for (lie, is_common) in [(Lie::Common, true), (Lie::Novel, false), (Lie::Flood, true)] {
            let mut liars = liars(lie);
            let junk = |summary: &Summary| -> Vec<CompositeKey> {
                assert_eq!((summary.instance, summary.epoch, summary.paths.len()), (7, 3, POPULAR));
                let texts = || summary.keys.iter().map(CompositeKey::as_str);
                assert!(texts().any(|text| text == "home") && !texts().any(|text| text == "truth"));
                assert_eq!(Summary::decode(&summary.encode()).as_ref(), Ok(summary), "it can be told");
                let ends = summary.paths.iter().map(|path| path.steps[2].key as usize);
                ends.map(|end| summary.keys[end].clone()).collect()
            };
            let (first, second) = (junk(&liars.instead_of(&truth)), junk(&liars.instead_of(&truth)));
            assert!(first.iter().all(|key| key.as_str().starts_with("nowhere/")));
            assert_eq!(first == second, is_common);
        }
    }
}
