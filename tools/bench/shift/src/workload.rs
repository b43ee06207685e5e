//! [`Workload`]: keys and how often each is asked for.

use std::collections::BTreeMap;

use foremap::key::CompositeKey;
use foremap_replay::Random;

use crate::alias::{Alias, zipf};

/// Prefixes of the synthetic workloads.
pub const PREFIXES: usize = 20_000;
/// Keys below each.
pub const OBJECTS: usize = 200;
/// Skew of prefixes, and of the keys below one.
pub const SKEWS: (f64, f64) = (1.2, 0.9);
/// The prefixes that are replaced when the hot set changes.
pub const HOT_SET: usize = 50;
/// Keys that are fetched together.
const BATCH: usize = 4;

/// Keys and how often each is asked for.
#[derive(Debug)]
pub struct Workload {
    /// In ascending order of the canonical text.
    pub keys: Vec<CompositeKey>,
    /// Share of all requests, by key.
    pub rates: Vec<f64>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Prefixes by rank, and objects below them.
    Nested {
        ranks: Alias,
        weights: Vec<f64>,
        prefix_of: Vec<u32>,
        objects: Alias,
        object_weights: Vec<f64>,
        batches: Option<Batches>,
    },
    /// Each key by itself.
    Flat(Alias),
    /// A nested one, and a share of all requests for one prefix that changes with the hour.
    Clock { base: Box<Workload>, share: f64, hour: usize, hours: usize, objects: Alias, object_weights: Vec<f64> },
}

/// Keys that are fetched together: those of one folder, or two of it and two of the folder of that name of a partner.
#[derive(Debug)]
struct Batches {
    partner: Vec<u32>,
    share: f64,
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Workload {
    /// Zipf 1.2 over 20,000 prefixes with 200 keys by Zipf 0.9 each.
    pub fn nested(seed: u64) -> Self {
        Self::build(seed, None)
    }

    /// The same prefixes, with 50 folders by Zipf 0.9 of 4 keys that are fetched together; `share` of the batches take in
    /// a partner prefix, one for each.
    pub fn together(seed: u64, share: f64) -> Self {
        Self::build(seed, Some(share))
    }

    fn build(seed: u64, together: Option<f64>) -> Self {
        let mut rng = Random::apart(seed);
        let keys = (0..PREFIXES * OBJECTS).map(|at| {
            let (prefix, object) = (at / OBJECTS, at % OBJECTS);
            match together {
                None => key(&format!("t{prefix:05}/files/o{object:03}")),
                Some(_) => key(&format!("t{prefix:05}/files/d{:02}/{}", object / BATCH, object % BATCH)),
            }
        });
        let keys = keys.collect();
        let weights = zipf(PREFIXES, SKEWS.0);
        let object_weights: Vec<f64> = match together {
            None => zipf(OBJECTS, SKEWS.1),
            Some(_) => zipf(OBJECTS / BATCH, SKEWS.1).into_iter().flat_map(|w| [w / BATCH as f64; BATCH]).collect(),
        };
        let prefix_of = shuffled(PREFIXES, &mut rng);
        // Partners are next to each other in rank, so that both are as hot as each other.
        let mut partner = vec![0; PREFIXES];
        for pair in prefix_of.chunks_exact(2) {
            (partner[pair[0] as usize], partner[pair[1] as usize]) = (pair[1], pair[0]);
        }
        let batches = together.map(|share| Batches { partner, share });
        let (ranks, objects) = (Alias::new(&weights), Alias::new(&object_weights));
        let kind = Kind::Nested { ranks, weights, prefix_of, objects, object_weights, batches };
        let mut workload = Self { keys, rates: Vec::new(), kind };
        workload.set_rates();
        workload
    }

    /// The keys of a trace, each as often as it is asked for there.
    pub fn of_trace(trace: &foremap_replay::trace::Trace) -> Self {
        let mut counts: BTreeMap<CompositeKey, f64> = BTreeMap::new();
        for request in &trace.requests {
            *counts.entry(key(&trace.keys[request.key as usize])).or_default() += 1.0;
        }
        let total = trace.requests.len() as f64;
        let (keys, counts): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
        let rates: Vec<f64> = counts.iter().map(|count| count / total).collect();
        let kind = Kind::Flat(Alias::new(&rates));
        Self { keys, rates, kind }
    }

    /// `share` of all requests go to `logs/<hour>/...`, the others to a nested workload.
    pub fn clock(seed: u64, share: f64, first_hour: u64, hours: usize) -> Self {
        let base = Box::new(Self::nested(seed));
        let hour_keys = (0..hours).flat_map(|hour| {
            let at = first_hour + hour as u64;
            let (day, hour) = (at / 24, at % 24);
            // Days of one month are enough.
            (0..OBJECTS).map(move |object| key(&format!("logs/2026-11-{:02}T{hour:02}/o{object:03}", day + 1)))
        });
        let keys = hour_keys.chain(base.keys.iter().cloned()).collect();
        let object_weights = zipf(OBJECTS, SKEWS.1);
        let objects = Alias::new(&object_weights);
        let kind = Kind::Clock { base, share, hour: 0, hours, objects, object_weights };
        let mut workload = Self { keys, rates: Vec::new(), kind };
        workload.set_rates();
        workload
    }

    /// The next hour begins.
    pub fn next_hour(&mut self) {
        if let Kind::Clock { hour, hours, .. } = &mut self.kind {
            *hour = (*hour + 1).min(*hours - 1);
        }
        self.set_rates();
    }

    /// Other prefixes become the hottest ones.
    pub fn replace_hot_set(&mut self, rng: &mut Random) {
        if let Kind::Nested { prefix_of, .. } = &mut self.kind {
            for rank in 0..HOT_SET {
                let other = HOT_SET + rng.index(prefix_of.len() - HOT_SET);
                prefix_of.swap(rank, other);
            }
        }
        self.set_rates();
    }

    fn set_rates(&mut self) {
        let count = self.keys.len();
        match &self.kind {
            Kind::Flat(_) => {}
            Kind::Nested { weights, prefix_of, object_weights, .. } => {
                self.rates.resize(count, 0.0);
                for (weight, &prefix) in weights.iter().zip(prefix_of) {
                    let first = prefix as usize * OBJECTS;
                    for (rate, of_object) in self.rates[first..first + OBJECTS].iter_mut().zip(object_weights) {
                        *rate = weight * of_object;
                    }
                }
            }
            Kind::Clock { base, share, hour, hours, object_weights, .. } => {
                self.rates = vec![0.0; hours * OBJECTS];
                self.rates.extend(base.rates.iter().map(|rate| rate * (1.0 - share)));
                for (rate, of_object) in self.rates[hour * OBJECTS..].iter_mut().zip(object_weights) {
                    *rate = share * of_object;
                }
            }
        }
    }

    /// Draws what a client asks for next: one key, or a batch.
    pub fn draw(&self, rng: &mut Random, batch: &mut Vec<u32>) {
        batch.clear();
        match &self.kind {
            Kind::Flat(alias) => batch.push(alias.draw(rng) as u32),
            Kind::Clock { base, share, hour, hours, objects, .. } => {
                if rng.unit() < *share {
                    batch.push((hour * OBJECTS + objects.draw(rng)) as u32);
                } else {
                    base.draw(rng, batch);
                    batch[0] += (hours * OBJECTS) as u32;
                }
            }
            Kind::Nested { ranks, prefix_of, objects, batches, .. } => {
                let prefix = prefix_of[ranks.draw(rng)];
                let object = objects.draw(rng);
                let Some(batches) = batches else {
                    batch.push(prefix * OBJECTS as u32 + object as u32);
                    return;
                };
                let first = (object / BATCH * BATCH) as u32;
                let other = if rng.unit() < batches.share { batches.partner[prefix as usize] } else { prefix };
                // Which two of four is left to chance, so that all are asked for as often.
                let turn = rng.index(BATCH) as u32;
                for n in 0..BATCH as u32 {
                    let of = if n < BATCH as u32 / 2 { prefix } else { other };
                    batch.push(of * OBJECTS as u32 + first + (n + turn) % BATCH as u32);
                }
            }
        }
    }
}

fn shuffled(count: usize, rng: &mut Random) -> Vec<u32> {
    let mut all: Vec<u32> = (0..count as u32).collect();
    for at in (1..count).rev() {
        all.swap(at, rng.index(at + 1));
    }
    all
}
