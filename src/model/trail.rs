//! [`Trail`]: what a client tells of its own requests, and what that may cost.

use std::collections::VecDeque;
use std::sync::Arc;

use super::summary::{Path, PathStep, Summary};
use crate::key::CompositeKey;
use crate::partition::{mix, xxh3};
use crate::protocol::{BatchItem, Class, Fetched, Rider};

/// Requests that are remembered until they are told; of more, the oldest are not told. A visit of a person has tens.
const REQUESTS: usize = 256;
/// Bytes of demand for one byte that tells: a hundredth.
const SHARE: i64 = 100;
/// Advance that a batch has on account of the answers that it brings, in bytes of demand: those to two keys.
const ON_ACCOUNT: i64 = 400;
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
/// A client with one stream that talks to one gateway, as a tab does, tells with a [`Rider`] on each of its batches. Others, and
/// what came after the last batch, are told of in summaries.
///
/// What it tells is at most a hundredth of the bytes of its demand: of all clients together, as a visit of four requests
/// has earned less than any summary takes, and is told of by lot.
#[derive(Debug)]
pub struct Trail {
    instance: u64,
    epoch: u64,
    asked: VecDeque<Asked>,
    /// Bytes of demand that nothing was told for; negative where something was told on account.
    demand: i64,
    riding: Riding,
}

/// Way in which batches tell.
#[derive(Debug, Default)]
enum Riding {
    /// None has left yet.
    #[default]
    New,
    /// To this gateway, in this stream.
    With { origin: Arc<str>, stream: u64, fetched: Fetched, after: Option<u8> },
    /// They do not: there are several streams or gateways, and what one of those sees is no path.
    Never,
}

impl Trail {
    /// Most requests remembered.
    pub const BOUND: usize = REQUESTS;

    /// The trail of a client with this random number.
    pub fn new(seed: u64) -> Self {
        Self {
            instance: mix(seed ^ 0x7472_6169_6c00),
            epoch: 0,
            asked: VecDeque::new(),
            demand: 0,
            riding: Riding::New,
        }
    }

    /// One request of a stream. O(1).
    pub fn note(&mut self, stream: &str, key: &CompositeKey, repeated: bool) {
        if self.asked.len() == REQUESTS {
            self.asked.pop_front();
        }
        let stream = xxh3(0, stream.as_bytes());
        self.asked.push_back(Asked { stream, key: key.clone(), repeated, told: false });
    }

    /// Makes the rider of a batch with these items, which is about to leave for `origin`. It counts as told then. `None`
    /// where nothing is told this way, or where demand has not paid for it. O(requests x items).
    pub fn ride(&mut self, origin: &Arc<str>, items: &[BatchItem]) -> Option<Rider> {
        if matches!(self.riding, Riding::New) {
            let stream = self.asked.front()?.stream;
            self.riding = Riding::With { origin: origin.clone(), stream, fetched: Fetched::default(), after: None };
        }
        let Riding::With { origin: usual, stream, fetched, after } = &mut self.riding else { return None };
        if usual != origin || self.asked.iter().any(|asked| asked.stream != *stream) {
            self.riding = Riding::Never;
            return None;
        }
        let mut waited: Vec<&CompositeKey> =
            items.iter().filter(|item| item.class == Class::Demand).map(|item| &item.key).collect();
        let mut rider = Rider { after: *after, asked: Vec::new() };
        for asked in self.asked.iter().filter(|asked| !asked.told) {
            match waited.iter().position(|&key| *key == asked.key) {
                Some(at) => _ = waited.swap_remove(at),
                None => rider.asked.push(fetched.name(&asked.key)),
            }
        }
        let price = rider.len() as i64 * SHARE;
        if self.demand - price < -ON_ACCOUNT {
            // Whoever follows loses the thread.
            (*fetched, *after) = (Fetched::default(), None);
            return None;
        }
        self.demand -= price;
        *after = Some(rider.link(items));
        fetched.push(items);
        self.turn();
        Some(rider)
    }

    /// So many bytes of demand were sent or came.
    pub fn earn(&mut self, bytes: usize) {
        self.demand = self.demand.saturating_add(bytes as i64).min(MAX_CREDIT * SHARE);
    }

    /// Requests that are not told of.
    pub fn len(&self) -> usize {
        self.asked.iter().filter(|asked| !asked.told).count()
    }

    /// Tells whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a summary of what there is to tell, if that may be told: at most `max_bytes`, the newest requests. They count
    /// as told then, but for what will follow them. O(requests x keys).
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

    /// Makes a summary of what there is to tell, whatever it costs: for measurements. It counts as told then. O(requests x
    /// keys).
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
        let mut kept: VecDeque<Asked> = VecDeque::new();
        while let Some(mut asked) = self.asked.pop_back() {
            let seen = kept.iter().filter(|other| other.stream == asked.stream).count();
            if seen < Summary::MAX_TOLD.into() {
                asked.told = true;
                kept.push_front(asked);
            }
        }
        self.asked = kept;
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary { instance: self.instance, epoch: self.epoch + 1, ..Summary::default() };
        // Sought from end to end: there are few, and it is done once in a while.
        let mut streams: Vec<u64> = Vec::new();
        for asked in &self.asked {
            let number = summary.keys.iter().position(|key| *key == asked.key).unwrap_or_else(|| {
                summary.keys.push(asked.key.clone());
                summary.keys.len() - 1
            }) as u32;
            let at = streams.iter().position(|stream| *stream == asked.stream).unwrap_or_else(|| {
                streams.push(asked.stream);
                summary.paths.push(Path::default());
                streams.len() - 1
            });
            let path = &mut summary.paths[at];
            path.told += u8::from(asked.told);
            path.steps.push(PathStep { key: number, repeated: asked.repeated });
        }
        summary.paths.retain(|path| path.steps.len() > path.told.into());
        summary
    }
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;
