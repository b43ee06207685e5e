//! Demands on prediction on the traces that it was developed on.
//!
//! `peer` is the best that a published method reached there under the same rules: libCacheSim's tuned prefetchers (PG,
//! Mithril, next block) and caches (S3-FIFO, SIEVE, W-TinyLFU), and order-1 and order-2 prediction over LRU, each
//! picked after the fact among those within the waste budget. All hit ratios are in percent.

/// Figures of one trace.
pub(super) struct Reference {
    pub(super) name: &'static str,
    /// Cache of 5 % of the keys, waste budget 0.25; the last, budget 0.10.
    pub(super) peer: f64,
    pub(super) aim: f64,
    pub(super) aim_strict: f64,
    /// Cache of 1 % of the keys, waste budget 0.25.
    pub(super) peer_small: f64,
    pub(super) aim_small: f64,
    /// Private caches of 32 keys: required, aim.
    pub(super) private: Option<(f64, f64)>,
    /// Prefetches usable after 8 more requests: required, aim.
    pub(super) delayed: Option<(f64, f64)>,
    /// Share of first requests for a key that hit: required, aim.
    pub(super) novel: Option<(f64, f64)>,
}

impl Reference {
    pub(super) fn of(trace: &str) -> Option<&'static Self> {
        ALL.iter().find(|reference| reference.name == trace)
    }
}

pub(super) const ALL: [Reference; 7] = [
    Reference { name: "nasa-19950801", private: Some((65.1, 71.0)), ..shared([76.5, 83.0, 80.0, 57.8, 65.0]) },
    Reference {
        name: "orm-busy",
        delayed: Some((91.0, 94.0)),
        novel: Some((0.40, 0.60)),
        ..shared([93.2, 97.0, 95.5, 91.5, 95.5])
    },
    Reference { name: "yoochoose", private: Some((30.4, 36.0)), ..shared([53.3, 58.0, 55.5, 28.9, 30.0]) },
    Reference { name: "wikispeedia", private: Some((20.0, 28.0)), ..shared([50.1, 57.0, 53.0, 27.8, 33.0]) },
    Reference {
        name: "cloudphysics-w92",
        delayed: Some((40.0, 60.0)),
        novel: Some((0.50, 0.65)),
        ..shared([40.0, 78.0, 70.0, 35.2, 72.0])
    },
    Reference { name: "mooncake-conversation", delayed: Some((27.0, 33.0)), ..shared([35.9, 36.4, 36.0, 35.1, 36.0]) },
    Reference {
        name: "cbuild-opens",
        private: Some((88.3, 91.0)),
        delayed: Some((75.0, 88.0)),
        ..shared([91.2, 94.5, 92.0, 89.5, 91.0])
    },
];

const fn shared([peer, aim, aim_strict, peer_small, aim_small]: [f64; 5]) -> Reference {
    Reference { name: "", peer, aim, aim_strict, peer_small, aim_small, private: None, delayed: None, novel: None }
}
