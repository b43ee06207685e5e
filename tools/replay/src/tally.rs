//! Counting.

use std::num::NonZeroUsize;

use hdrhistogram::Histogram;

use super::clients::Clients;
use super::demand::Demand;

/// Counts of a replay.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) hits: u64,
    /// Requests for a key that nobody had asked for before, and hits among them.
    pub(super) novel: u64,
    pub(super) novel_hits: u64,
    pub(super) issued: u64,
    pub(super) used: u64,
    pub(super) wasted: u64,
    /// Largest excess over the waste budget after any request.
    pub(super) max_budget_excess: f64,
    waste_budget: f64,
    /// With private caches.
    pub(super) clients: Option<Clients>,
    known: Vec<bool>,
    /// Nanoseconds that the predictor took per request, within 0.1 %; `None` without a predictor.
    times: Option<Histogram<u32>>,
    total_nanos: u64,
    /// Requests in a window of the series, and the hits of each window.
    window: Option<NonZeroUsize>,
    series: Vec<u32>,
}

/// Longest time told apart: a minute.
const LONGEST_NANOS: u64 = 60_000_000_000;

impl Tally {
    /// `private` is the number of clients with a cache of their own.
    pub(super) fn new(keys: usize, private: Option<usize>, waste_budget: f64, window: Option<NonZeroUsize>) -> Self {
        Self {
            requests: 0,
            hits: 0,
            novel: 0,
            novel_hits: 0,
            issued: 0,
            used: 0,
            wasted: 0,
            max_budget_excess: f64::NEG_INFINITY,
            waste_budget,
            clients: private.map(|clients| Clients::new(clients, waste_budget)),
            known: vec![false; keys],
            times: Histogram::new_with_bounds(1, LONGEST_NANOS, 3).ok(),
            total_nanos: 0,
            window,
            series: Vec::new(),
        }
    }

    /// A request to a cache, which is a client's if it is private; likewise below.
    pub(super) fn demand(&mut self, cache: usize, key: u32, demand: Demand) {
        let hit = u64::from(demand != Demand::Miss);
        if let Some(window) = self.window {
            if self.requests.is_multiple_of(window.get() as u64) {
                self.series.push(0);
            }
            if let Some(hits) = self.series.last_mut() {
                *hits += hit as u32;
            }
        }
        self.requests += 1;
        self.hits += hit;
        self.used += u64::from(demand == Demand::FirstUse);
        if let Some(clients) = &mut self.clients {
            clients.demand(cache, hit > 0, demand == Demand::FirstUse);
        }
        if let Some(known) = self.known.get_mut(key as usize)
            && !std::mem::replace(known, true)
        {
            self.novel += 1;
            self.novel_hits += hit;
        }
    }

    pub(super) fn issue(&mut self, cache: usize) {
        self.issued += 1;
        if let Some(clients) = &mut self.clients {
            clients.issue(cache);
        }
    }

    pub(super) fn waste(&mut self, cache: usize) {
        self.wasted += 1;
        if let Some(clients) = &mut self.clients {
            clients.waste(cache);
        }
    }

    pub(super) fn end_request(&mut self, cache: usize, nanos: Option<u64>) {
        self.weigh();
        if let Some(clients) = &mut self.clients {
            clients.end_request(cache);
        }
        match (nanos, &mut self.times) {
            (Some(nanos), Some(times)) => {
                self.total_nanos += nanos;
                times.saturating_record(nanos);
            }
            _ => self.times = None,
        }
    }

    /// Counts what is unused at the end as waste.
    pub(super) fn end(&mut self) {
        self.wasted = self.issued - self.used;
        self.weigh();
        if let Some(clients) = &mut self.clients {
            clients.end();
        }
    }

    fn weigh(&mut self) {
        let excess = self.wasted as f64 - self.waste_budget * self.requests as f64;
        self.max_budget_excess = self.max_budget_excess.max(excess);
    }

    /// Mean and 99th percentile of the predictor's time per request.
    pub(super) fn nanos(&self) -> Option<(f64, u64)> {
        let times = self.times.as_ref()?;
        Some((self.total_nanos as f64 / self.requests.max(1) as f64, times.value_at_quantile(0.99)))
    }

    /// Hits of each window, the last one perhaps shorter; `None` if nobody asked.
    pub(super) fn series(&self) -> Option<&[u32]> {
        self.window.map(|_| self.series.as_slice())
    }

    pub(super) fn wasted_per_request(&self) -> f64 {
        self.wasted as f64 / self.requests.max(1) as f64
    }

    pub(super) fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }
}
