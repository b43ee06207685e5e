//! [`Origins`]: the gateways that may be talked to, and the choice among them.
//!
//! A connection over an ocean costs more than a hop inside the data centre, so
//! the owner of a key is addressed directly only over an origin used within the
//! last [`WARM_MS`]; anything else goes to the warmest gateway, which forwards.
//! Further origins are warmed by traffic that nobody waits for.

use std::sync::Arc;

use super::retry::ATTEMPT_MS;
use crate::Millis;
use crate::adapter::config::wildcard;
use crate::breaker::{Breaker, BreakerConfig};

/// Time that a used connection is presumed open: keep-alive limits of common servers start at 60 s.
const WARM_MS: Millis = 60_000;
/// Answers before one can be called unusually late: one in twenty is.
const ENOUGH_ANSWERS: u32 = 40;
/// An origin is reached over an ocean, where a lost answer or two mean little.
const BREAKER: BreakerConfig = BreakerConfig { failures: 3, first_ms: 1_000, most_ms: 30_000 };
/// Most origins remembered. The map may name thousands; the rest is reached by forwarding.
const MAX_ORIGINS: usize = 64;

#[derive(Debug, Clone)]
struct Origin {
    url: Arc<str>,
    last_used: Option<Millis>,
    /// Smoothed answer time in milliseconds; weight 1/8 for a new sample, as TCP smooths its round trip (RFC 6298).
    latency_ms: f32,
    /// Smoothed deviation from it; weight 1/4, as there.
    deviation_ms: f32,
    /// Estimate of the time within which 95 of 100 answers arrive.
    unusual_ms: f32,
    answers: u32,
    breaker: Breaker,
    /// End of a pause that it asked for: it is there, and has more to do than it can.
    paused_until: Millis,
}

impl Origin {
    fn answered(&mut self, took: f32) {
        if self.answers == 0 {
            (self.latency_ms, self.deviation_ms, self.unusual_ms) = (took, took / 2.0, 2.0 * took);
        } else {
            self.deviation_ms += ((took - self.latency_ms).abs() - self.deviation_ms) / 4.0;
            self.latency_ms += (took - self.latency_ms) / 8.0;
            // A step up for each answer beyond it, a nineteenth of that down for each other one: at rest where one in
            // twenty is beyond (Robbins and Monro, 1951).
            let step = (self.latency_ms / 8.0).max(1.0);
            self.unusual_ms += if took > self.unusual_ms { step } else { -step / 19.0 };
            self.unusual_ms = self.unusual_ms.max(self.latency_ms);
        }
        self.answers = self.answers.saturating_add(1);
    }
}

/// The origins that may be used and what is known of them.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    known: Vec<Origin>,
    patterns: Vec<String>,
    max_warm: usize,
}

impl Origins {
    pub(super) fn new(origins: &[String], max_warm: usize) -> Self {
        let (patterns, exact): (Vec<_>, Vec<_>) = origins.iter().cloned().partition(|o| wildcard(o).is_some());
        let mut origins = Self { known: Vec::new(), patterns, max_warm };
        for url in exact {
            origins.remember(url.trim_end_matches('/'));
        }
        origins
    }

    fn remember(&mut self, url: &str) -> Option<usize> {
        if let Some(at) = self.known.iter().position(|o| &*o.url == url) {
            return Some(at);
        }
        if self.known.len() == MAX_ORIGINS {
            return None;
        }
        self.known.push(Origin {
            url: url.into(),
            last_used: None,
            latency_ms: 0.0,
            deviation_ms: 0.0,
            unusual_ms: 0.0,
            answers: 0,
            breaker: Breaker::new(BREAKER),
            paused_until: 0,
        });
        Some(self.known.len() - 1)
    }

    /// Returns whether the configuration allows `url`: named itself, or one label below a wildcard.
    fn allowed(&self, url: &str) -> bool {
        self.known.iter().any(|o| &*o.url == url)
            || self.patterns.iter().any(|pattern| {
                let Some((scheme, domain)) = wildcard(pattern) else { return false };
                let label = url
                    .strip_prefix(scheme)
                    .and_then(|rest| rest.strip_prefix("://"))
                    .and_then(|host| host.strip_suffix(domain))
                    .and_then(|host| host.strip_suffix('.'));
                label.is_some_and(|label| {
                    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
            })
    }

    /// Origin for a key whose owner answers at `owner`; `avoid` is the origin that has just failed.
    pub(super) fn choose(&self, now: Millis, owner: Option<&str>, avoid: Option<&str>) -> Arc<str> {
        let usable = |o: &Origin| !o.breaker.is_open(now) && now >= o.paused_until && avoid != Some(&*o.url);
        if let Some(owner) = owner
            && let Some(origin) = self.known.iter().find(|o| &*o.url == owner)
            && is_warm(origin, now)
            && usable(origin)
        {
            return origin.url.clone();
        }
        // The warmest usable one; where there is none, the one that is usable first.
        let best = self.known.iter().min_by_key(|o| {
            let idle = o.last_used.map_or(Millis::MAX, |at| now.saturating_sub(at));
            let from = o.breaker.open_until().max(o.paused_until);
            (!usable(o), from.saturating_sub(now), !is_warm(o, now), idle)
        });
        best.map(|o| o.url.clone()).unwrap_or_default()
    }

    /// An origin for traffic that nobody waits for: the next one of `owners` that is allowed and cold, while there is
    /// room for another connection.
    pub(super) fn choose_to_warm<'a>(
        &mut self,
        now: Millis,
        owners: impl Iterator<Item = &'a str>,
    ) -> Option<Arc<str>> {
        if self.known.iter().filter(|o| is_warm(o, now)).count() >= self.max_warm {
            return None;
        }
        for url in owners {
            if !self.allowed(url) {
                continue;
            }
            let at = self.remember(url)?;
            let origin = &self.known[at];
            if !is_warm(origin, now) && !origin.breaker.is_open(now) && now >= origin.paused_until {
                return Some(origin.url.clone());
            }
        }
        None
    }

    pub(super) fn succeeded(&mut self, now: Millis, url: &str, took: Millis) {
        if let Some(origin) = self.known.iter_mut().find(|o| &*o.url == url) {
            origin.last_used = Some(now);
            origin.answered(took as f32);
            origin.breaker.succeeded();
        }
    }

    pub(super) fn failed(&mut self, now: Millis, url: &str) {
        if let Some(origin) = self.known.iter_mut().find(|o| &*o.url == url) {
            origin.breaker.failed(now);
            origin.last_used = None;
        }
    }

    /// `url` is there, and is to be left alone until then, but where nobody else is left to ask.
    pub(super) fn pause(&mut self, url: &str, until: Millis) {
        if let Some(origin) = self.known.iter_mut().find(|o| &*o.url == url) {
            origin.paused_until = origin.paused_until.max(until);
        }
    }

    /// Returns whether there is another origin than `url` whose breaker is closed, and which does not ask to be left alone.
    pub(super) fn has_other(&self, now: Millis, url: &str) -> bool {
        self.known.iter().any(|o| &*o.url != url && !o.breaker.is_open(now) && now >= o.paused_until)
    }

    /// Smoothed answer time of `url` in milliseconds; 0 before the first answer.
    pub(super) fn latency_ms(&self, url: &str) -> f32 {
        self.known.iter().find(|o| &*o.url == url).map_or(0.0, |o| o.latency_ms)
    }

    /// Longest time that an answer from `url` takes, but for a rare one, in milliseconds (the time-out of RFC 6298); before the first
    /// answer, whatever an attempt may take.
    pub(super) fn round_trip_ms(&self, url: &str) -> u32 {
        let origin = self.known.iter().find(|o| &*o.url == url).filter(|o| o.answers > 0);
        origin.map_or(ATTEMPT_MS, |o| (o.latency_ms + 4.0 * o.deviation_ms) as u32)
    }

    /// After so many milliseconds an answer from `url` is later than 95 of 100; `None` before enough of them are known.
    pub(super) fn unusual_ms(&self, url: &str) -> Option<Millis> {
        let origin = self.known.iter().find(|o| &*o.url == url)?;
        (origin.answers >= ENOUGH_ANSWERS).then_some(origin.unusual_ms as Millis + 1)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn warm(&self, now: Millis) -> usize {
        self.known.iter().filter(|o| is_warm(o, now)).count()
    }

    pub(super) fn open(&self, now: Millis) -> usize {
        self.known.iter().filter(|o| o.breaker.is_open(now)).count()
    }

    pub(super) const BOUND: usize = MAX_ORIGINS;
}

fn is_warm(origin: &Origin, now: Millis) -> bool {
    origin.last_used.is_some_and(|at| now.saturating_sub(at) < WARM_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::new(&["https://a.example".into(), "https://*.nodes.example".into()], 2)
    }

    #[test]
    fn a_wildcard_allows_one_label_and_nothing_else() {
        let origins = origins();
        assert!(origins.allowed("https://n1.nodes.example"));
        for url in
            ["https://x.n1.nodes.example", "http://n1.nodes.example", "https://nodes.example", "https://evil.example"]
        {
            assert!(!origins.allowed(url), "{url}");
        }
    }

    #[test]
    fn the_owner_is_addressed_only_when_warm() {
        let mut origins = origins();
        let owner = "https://n1.nodes.example";
        assert_eq!(&*origins.choose(0, Some(owner), None), "https://a.example");
        let warmed = origins.choose_to_warm(0, [owner].into_iter());
        assert_eq!(warmed.as_deref(), Some(owner));
        origins.succeeded(10, owner, 10);
        assert_eq!(&*origins.choose(20, Some(owner), None), owner);
        assert_eq!(&*origins.choose(20 + WARM_MS, Some(owner), None), "https://n1.nodes.example", "the least cold one");
        assert_eq!(&*origins.choose(20, Some(owner), Some(owner)), "https://a.example", "it has just failed");
    }

    #[test]
    fn an_origin_that_asks_for_a_pause_has_it_while_there_is_another_one() {
        let mut origins = Origins::new(&["http://a".into(), "http://b".into()], 2);
        origins.succeeded(0, "http://a", 5);
        assert!(origins.has_other(100, "http://b"));
        origins.pause("http://a", 1_100);
        origins.pause("http://a", 600);
        assert_eq!(&*origins.choose(1_099, Some("http://a"), None), "http://b");
        assert!(!origins.has_other(1_099, "http://b"));
        assert_eq!(origins.choose_to_warm(70_000, ["http://a"].into_iter()).as_deref(), Some("http://a"));
        assert_eq!(&*origins.choose(1_100, Some("http://a"), None), "http://a");
        assert_eq!(origins.open(100), 0, "it is there");
        origins.pause("http://b", 900);
        assert_eq!(&*origins.choose(500, Some("http://a"), None), "http://b", "which is usable first");
    }

    #[test]
    fn the_breaker_opens_after_three_failures_and_closes_again() {
        let mut origins = Origins::new(&["http://a".into(), "http://b".into()], 2);
        origins.succeeded(0, "http://a", 5);
        for _ in 0..3 {
            origins.failed(100, "http://a");
        }
        assert_eq!(&*origins.choose(100, Some("http://a"), None), "http://b");
        assert_eq!(origins.open(100), 1);
        assert_eq!(origins.open(100 + BREAKER.first_ms), 0);
    }
}
