//! Methods that can be replayed.

use std::str::FromStr;

use super::baseline::PpmVariant;

/// A method: the engine, or a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method(pub(super) Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Foremap,
    Lru,
    S3Fifo,
    Belady,
    /// The best of an order's variants.
    PpmFamily(u8),
    Ppm(PpmVariant),
    Oracle {
        ahead: usize,
        known_only: bool,
    },
    /// Knows the rules of a synthetic workload.
    Rules,
}

impl Method {
    /// The engine and cache of the core.
    pub const FOREMAP: Self = Self(Kind::Foremap);

    /// Tells whether it exists with private caches, or with a shared one.
    pub(super) fn fits(self, private: bool) -> bool {
        match self.0 {
            Kind::Ppm(variant) => PpmVariant::all(variant.order, private).contains(&variant),
            _ => true,
        }
    }

    /// Replays that it takes: a family has several variants.
    pub fn runs(self, private: bool) -> usize {
        match self.0 {
            Kind::PpmFamily(order) => PpmVariant::all(order, private).len(),
            _ => 1,
        }
    }

    /// The name in reports.
    pub fn name(self, private: bool) -> String {
        match self.0 {
            Kind::Foremap => "foremap".to_owned(),
            Kind::Lru => "lru".to_owned(),
            Kind::S3Fifo => "s3fifo".to_owned(),
            Kind::Belady => "belady".to_owned(),
            Kind::PpmFamily(1) => "markov1".to_owned(),
            Kind::PpmFamily(_) => "ppm2".to_owned(),
            Kind::Ppm(variant) => variant.name(private),
            Kind::Oracle { ahead: 1, known_only: false } => "oracle1".to_owned(),
            Kind::Oracle { ahead, known_only } => format!("oracle{ahead}-{}", if known_only { "known" } else { "any" }),
            Kind::Rules => "oracle".to_owned(),
        }
    }

    fn all() -> Vec<(String, Self)> {
        let oracle = |ahead, known_only| Kind::Oracle { ahead, known_only };
        let mut kinds = vec![Kind::Lru, Kind::S3Fifo, Kind::Belady, Kind::PpmFamily(1), Kind::PpmFamily(2)];
        kinds.extend([oracle(1, false), oracle(1, true), oracle(3, false), oracle(3, true), Kind::Rules]);
        let mut all: Vec<_> = kinds.into_iter().map(|kind| (Self(kind).name(false), Self(kind))).collect();
        all.push(("oracle1-any".to_owned(), Self(oracle(1, false))));
        for (order, private) in [(1, false), (2, false), (1, true), (2, true)] {
            let variants = PpmVariant::all(order, private).into_iter();
            all.extend(variants.map(|variant| (variant.name(private), Self(Kind::Ppm(variant)))));
        }
        all
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().into_iter().find(|(known, _)| known == name).map(|(_, method)| method);
        found.ok_or_else(|| {
            "the baselines are lru, s3fifo, markov1, ppm2, belady, oracle1 and oracle, and variants such as \
             ppm2-client-top3-t0.25 or oracle1-known"
                .to_owned()
        })
    }
}
