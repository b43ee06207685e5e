//! [`Trail`]: what a client tells of its own requests, and what that may cost.

use std::collections::VecDeque;

use fxhash::FxHashMap;

use super::summary::{Path, Step, Summary};
use crate::key::CompositeKey;
use crate::partition::{mix, xxh3};

/// Requests that are remembered until they are told; of more, the oldest are not told. A visit of a person has tens.
const REQUESTS: usize = 256;
/// Bytes of demand for one byte that tells: a hundredth.
const SHARE: i64 = 100;
/// Most credit in bytes: what a full trail takes, about.
const MAX_CREDIT: i64 = 8 << 10;

/// A request, and whether its stream had asked for the key before.
#[derive(Debug, Clone)]
struct Asked {
    stream: u64,
    key: CompositeKey,
    repeated: bool,
    told: bool,
}

/// The newest requests of one client, until it has told of them.
///
/// What it tells is at most a hundredth of the bytes of its demand: of all clients together, as a visit of four requests
/// has earned less than any summary takes, and is told of by lot.
#[derive(Debug)]
pub struct Trail {
    instance: u64,
    epoch: u64,
    asked: VecDeque<Asked>,
    /// Bytes of demand that no summary was told for; negative where one was told on account.
    demand: i64,
}

impl Trail {
    /// Most requests remembered.
    pub const BOUND: usize = REQUESTS;

    /// The trail of a client with this random number.
    pub fn new(seed: u64) -> Self {
        Self { instance: mix(seed ^ 0x7472_6169_6c00), epoch: 0, asked: VecDeque::new(), demand: 0 }
    }

    /// One request of a stream. O(1).
    pub fn note(&mut self, stream: &str, key: &CompositeKey, repeated: bool) {
        if self.asked.len() == REQUESTS {
            self.asked.pop_front();
        }
        let stream = xxh3(0, stream.as_bytes());
        self.asked.push_back(Asked { stream, key: key.clone(), repeated, told: false });
    }

    /// So many bytes of demand were sent or came.
    pub fn earn(&mut self, bytes: usize) {
        self.demand = self.demand.saturating_add(bytes as i64).min(MAX_CREDIT * SHARE);
    }

    /// Requests that are not told of.
    pub fn len(&self) -> usize {
        self.asked.iter().filter(|asked| !asked.told).count()
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What there is to tell, if that may be told: at most `max_bytes`, the newest requests. They count as told then, but
    /// for what will follow them. O(requests).
    pub fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        while self.len() > 1 {
            let bytes = self.summary().encode();
            if bytes.len() > max_bytes {
                self.asked.drain(..self.asked.len().div_ceil(8));
                continue;
            }
            if !self.pay(bytes.len()) {
                return None;
            }
            self.turn();
            return Some(bytes);
        }
        None
    }

    /// What there is to tell, whatever it costs: for measurements. It counts as told then. O(requests).
    pub fn take(&mut self) -> Option<Summary> {
        let summary = (!self.is_empty()).then(|| self.summary())?;
        self.turn();
        Some(summary)
    }

    /// Pays for so many bytes. Each summary has drawn what part of its price has to be there, and is told on account of the
    /// rest: so the price is met on average, however short visits are.
    fn pay(&mut self, bytes: usize) -> bool {
        let price = bytes as i64 * SHARE;
        let draw = mix(self.instance ^ mix(self.epoch));
        let first = ((u128::from(draw) * price as u128) >> 64) as i64;
        let pays = self.demand > first;
        if pays {
            self.demand -= price;
        }
        pays
    }

    /// Begins with the next summary: keeps of each stream the two last requests, for what will follow them.
    fn turn(&mut self) {
        self.epoch += 1;
        let mut left: FxHashMap<u64, u8> = FxHashMap::default();
        let mut kept: VecDeque<Asked> = VecDeque::new();
        while let Some(mut asked) = self.asked.pop_back() {
            let seen = left.entry(asked.stream).or_default();
            if *seen < Summary::MAX_TOLD {
                *seen += 1;
                asked.told = true;
                kept.push_front(asked);
            }
        }
        self.asked = kept;
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary { instance: self.instance, epoch: self.epoch + 1, ..Summary::default() };
        let (mut numbers, mut paths) = (FxHashMap::default(), FxHashMap::default());
        for asked in &self.asked {
            let number = *numbers.entry(&asked.key).or_insert_with(|| {
                summary.keys.push(asked.key.clone());
                summary.keys.len() as u32 - 1
            });
            let at = *paths.entry(asked.stream).or_insert_with(|| {
                summary.paths.push(Path::default());
                summary.paths.len() - 1
            });
            let path = &mut summary.paths[at];
            path.told += u8::from(asked.told);
            path.steps.push(Step { key: number, repeated: asked.repeated });
        }
        summary.paths.retain(|path| path.steps.len() > path.told.into());
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> CompositeKey {
        CompositeKey::parse(text).expect("valid")
    }

    fn told(trail: &mut Trail) -> Option<Summary> {
        trail.tell(4_096).map(|bytes| Summary::decode(&bytes).expect("its own form"))
    }

    #[test]
    fn requests_are_told_once_and_lead_on_to_the_next() {
        let mut trail = Trail::new(7);
        trail.earn(1 << 20);
        assert!(told(&mut trail).is_none(), "nothing followed anything");
        for (stream, text) in [("", "a"), ("", "b"), ("tab", "x"), ("", "c"), ("tab", "y")] {
            trail.note(stream, &key(text), false);
        }
        let first = told(&mut trail).expect("paid for");
        let paths = |summary: &Summary| -> Vec<(u8, Vec<String>)> {
            let text = |step: &Step| summary.keys[step.key as usize].as_str().to_owned();
            summary.paths.iter().map(|path| (path.told, path.steps.iter().map(text).collect())).collect()
        };
        let of = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&first), [(0, of(&["a", "b", "c"])), (0, of(&["x", "y"]))]);
        assert!(trail.is_empty());
        trail.note("", &key("a"), true);
        trail.note("", &key("d"), false);
        let second = told(&mut trail).expect("paid for");
        assert_eq!(paths(&second), [(2, of(&["b", "c", "a", "d"]))]);
        assert_eq!((first.epoch, second.epoch, first.instance), (1, 2, second.instance));
        assert!(second.paths[0].steps[2].repeated && !second.paths[0].steps[3].repeated);
    }

    #[test]
    fn telling_takes_a_hundredth_of_demand_of_all_clients_together() {
        let (mut told, mut demand) = (0, 0);
        for client in 0..2_000 {
            let mut trail = Trail::new(client);
            for at in 0..4 + client % 40 {
                trail.note("", &key(&format!("item/{}", mix(client + at) % 5_000)), false);
                trail.earn(200);
                demand += 200;
                if at % 3 == 2 {
                    told += trail.tell(4_096).map_or(0, |bytes| bytes.len());
                }
            }
            told += trail.tell(4_096).map_or(0, |bytes| bytes.len());
        }
        let share = told as f64 / demand as f64;
        assert!((0.003..=0.0102).contains(&share), "{share}");
    }

    #[test]
    fn memory_and_bytes_are_bounded_and_the_newest_is_told() {
        let mut trail = Trail::new(1);
        trail.earn(1 << 40);
        for at in 0..10_000 {
            trail.note("", &key(&format!("some/rather/long/key/{at}")), false);
        }
        assert_eq!(trail.len(), Trail::BOUND);
        let bytes = trail.tell(300).expect("paid for");
        let summary = Summary::decode(&bytes).expect("its own form");
        assert!(bytes.len() <= 300 && summary.keys.len() > 5);
        assert_eq!(summary.keys.last().map(CompositeKey::as_str), Some("some/rather/long/key/9999"));
    }
}
