//! Prediction by partial matching: `markov1` (order 1) and `ppm2` (order 2, falling back to order 1).

use crate::trace::Trace;
use fxhash::FxHashMap;

use super::id::Id;
use crate::rules::{Observed, Predictor};

/// One setting of the predictor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PpmVariant {
    /// 1 or 2.
    pub(crate) order: u8,
    /// Contexts are the last keys of the same client, or of anybody.
    pub(crate) client_stream: bool,
    /// Counts are of the same client only, or of everybody.
    pub(crate) own_model: bool,
    /// Most prefetches per request.
    pub(crate) top: usize,
    /// Least share of a context's followers, in percent.
    pub(crate) percent: u32,
}

impl PpmVariant {
    /// The variants of an order that are tried, for a shared cache or private ones.
    pub(crate) fn all(order: u8, private: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for first in [true, false] {
            for top in [1, 3] {
                for percent in [25, 50] {
                    let (client_stream, own_model) = (private || first, private && first);
                    all.push(Self { order, client_stream, own_model, top, percent });
                }
            }
        }
        all
    }

    /// Its name, such as `ppm2-client-top3-t0.25`.
    pub(crate) fn name(&self, private: bool) -> String {
        let family = if self.order == 1 { "markov1" } else { "ppm2" };
        let kind = match (private, self.own_model, self.client_stream) {
            (true, true, _) => "own",
            (true, false, _) => "pool",
            (false, _, true) => "client",
            (false, _, false) => "global",
        };
        format!("{family}-{kind}-top{}-t0.{}", self.top, self.percent)
    }
}

/// Followers of a context, most frequent first; of equals the one that got there first.
#[derive(Default)]
struct Followers {
    counts: Vec<(Id, u32)>,
    total: u32,
}

impl Followers {
    fn add(&mut self, key: Id) {
        self.total += 1;
        let known = self.counts.iter().position(|(follower, _)| *follower == key);
        let mut at = known.unwrap_or_else(|| {
            self.counts.push((key, 0));
            self.counts.len() - 1
        });
        self.counts[at].1 += 1;
        while at > 0 && self.counts[at - 1].1 < self.counts[at].1 {
            self.counts.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// Client whose counts these are (or none, for all), the key before the last (or none), the last key.
type Context = (Option<u32>, Option<Id>, Id);

/// The predictor, with unbounded tables.
pub(crate) struct Ppm {
    variant: PpmVariant,
    table: FxHashMap<Context, Followers>,
    /// Of each stream: the last key and the one before.
    last: Vec<(Option<Id>, Option<Id>)>,
}

impl Ppm {
    pub(crate) fn new(variant: PpmVariant, trace: &Trace) -> Self {
        let streams = if variant.client_stream { trace.clients.len() } else { 1 };
        Self { variant, table: FxHashMap::default(), last: vec![(None, None); streams] }
    }

    /// Bytes of its tables. They only grow.
    pub(crate) fn bytes(&self) -> usize {
        let followers: usize = self.table.values().map(|f| f.counts.capacity() * size_of::<(Id, u32)>()).sum();
        self.table.capacity() * (size_of::<(Context, Followers)>() + 1) + followers + size_of_val(&*self.last)
    }

    /// Appends followers of a context, most frequent first.
    fn pick(&self, context: Context, out: &mut Vec<Id>) {
        let Some(followers) = self.table.get(&context) else { return };
        let least = f64::from(self.variant.percent) / 100.0;
        let likely = |count: u32| f64::from(count) / f64::from(followers.total) >= least;
        let best = followers.counts.iter().take(self.variant.top).take_while(|(_, count)| likely(*count));
        out.extend(best.map(|(key, _)| *key));
    }
}

impl Predictor<Id> for Ppm {
    fn observe(&mut self, observed: &Observed<'_, Id>, _: &mut dyn FnMut(&Id) -> bool, orders: &mut Vec<Id>) {
        let key = *observed.key;
        let stream = if self.variant.client_stream { observed.client as usize } else { 0 };
        let (last, before) = self.last[stream];
        self.last[stream] = (Some(key), last);
        let scope = self.variant.own_model.then_some(observed.client);
        if let Some(last) = last {
            self.table.entry((scope, None, last)).or_default().add(key);
            if self.variant.order == 2 && before.is_some() {
                self.table.entry((scope, before, last)).or_default().add(key);
            }
        }
        if self.variant.order == 2 && last.is_some() {
            self.pick((scope, last, key), orders);
        }
        if orders.is_empty() {
            self.pick((scope, None, key), orders);
        }
        // The most confident one lands last, and so stays longest.
        orders.reverse();
    }
}
