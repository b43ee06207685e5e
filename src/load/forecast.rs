//! [`Forecast`]: the load that is to come.

use std::collections::BTreeMap;

use serde::Serialize;

use super::load_model::{LoadModel, PrefixNow};
use super::report::ROUND_MS;
use super::season::Season;
use crate::Millis;
use crate::analyzer::{step_of, stepped};
use crate::key::KeyPrefix;

/// A prefix whose load is about to pass to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upcoming {
    /// The prefix that is hot now.
    pub from: KeyPrefix,
    /// The one that follows it.
    pub to: KeyPrefix,
    /// The time of that, in milliseconds since 1970.
    pub at: Millis,
}

/// Trend and period of heavy prefixes, and the prefixes that step with the clock or at a steady pace.
///
/// Trend and period by Holt (1957) and Winters (1960), additive, the trend damped (Gardner and McKenzie, 1985): see
/// `season.rs`. Steps are those of the analyzer's templates: `logs/2026-11-25T10` is followed by `logs/2026-11-25T11`
/// when that hour begins, `batch/17` by `batch/18` if the one before came after an equal time. Bounded by
/// [`Forecast::MAX_PREFIXES`] and [`Forecast::MAX_FAMILIES`]; about 1 MB at most.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    seasons: BTreeMap<KeyPrefix, Season>,
    families: BTreeMap<String, Family>,
    upcoming: Vec<Upcoming>,
    round: u64,
}

/// Prefixes that differ in one number or date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Family {
    /// The hottest.
    value: i64,
    /// Since when.
    since: Millis,
    /// The width of the last step, and the time before it; 0 before it has stepped.
    step: i64,
    interval: Millis,
    /// Steps in a row that were like the one before.
    alike: u32,
    seen: Millis,
}

impl Forecast {
    /// Most prefixes with a trend.
    pub const MAX_PREFIXES: usize = 1_024;
    /// Most families of prefixes that may step.
    pub const MAX_FAMILIES: usize = 1_024;
    /// Time before a step from which on it is announced: five rounds, so that a plan that is limited has successors.
    pub const LEAD_MS: Millis = 5 * ROUND_MS;
    /// Time for which it is kept after it has come.
    const KEPT_MS: Millis = 3 * ROUND_MS;
    /// Rounds until a plan made now has taken effect everywhere and the next one has.
    const HORIZON: f64 = 2.0;
    /// Most that a trend may multiply a load by.
    const MOST: f64 = 2.0;
    /// Members of a family that are hot at once: a series has the one that is ending and the one that begins.
    const MAX_AT_ONCE: usize = 3;
    /// Hours by which a clock in a key may differ from UTC.
    const ZONES: i64 = 14;

    /// Takes in the newest round of `load`. `now` is in milliseconds since 1970, `mean` the mean load of a node.
    pub fn update(&mut self, load: &LoadModel, now: Millis, mean: f64) {
        let heavy: Vec<PrefixNow> = load.prefixes((mean / 10.0).max(1.0)).collect();
        if load.round() > self.round {
            self.round = load.round();
            self.update_seasons(&heavy, now);
        }
        self.update_families(&heavy, now);
    }

    fn update_seasons(&mut self, heavy: &[PrefixNow], now: Millis) {
        for prefix in heavy {
            if self.seasons.contains_key(&prefix.prefix) || self.seasons.len() < Self::MAX_PREFIXES {
                self.seasons.entry(prefix.prefix.clone()).or_default().observe(now, prefix.load);
            }
        }
        if self.seasons.len() >= Self::MAX_PREFIXES {
            // Those that were not heavy for long make room.
            let stale = |season: &Season| season.last() + 60 * ROUND_MS < now;
            self.seasons.retain(|_, season| !stale(season));
        }
    }

    fn update_families(&mut self, heavy: &[PrefixNow], now: Millis) {
        // A step that has come stays until the loads show it: else what was prepared for it would be taken for cold.
        self.upcoming.retain(|step| step.at <= now && now <= step.at + Self::KEPT_MS);
        for (family, members) in families(heavy) {
            let Some(&(value, _)) = members.iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))) else {
                continue;
            };
            if members.len() > Self::MAX_AT_ONCE {
                continue;
            }
            if self.families.len() >= Self::MAX_FAMILIES && !self.families.contains_key(&family.text) {
                let oldest =
                    self.families.iter().min_by_key(|(text, known)| (known.seen, *text)).map(|(text, _)| text.clone());
                oldest.and_then(|text| self.families.remove(&text));
            }
            let known =
                self.families.entry(family.text.clone()).or_insert(Family { value, since: now, ..Family::default() });
            known.see(value, now);
            let next = match family.unit_ms {
                Some(unit) => known.next_on_clock(unit),
                None => known.next_by_pace(),
            };
            let Some((step, at)) = next else { continue };
            if at > now
                && at <= now + Self::LEAD_MS
                && let (Some(from), Some(to)) = (family.member(value), family.member(value + step))
            {
                self.upcoming.push(Upcoming { from, to, at });
            }
        }
    }

    /// Prefixes whose load is about to pass on, or has just done so.
    pub fn upcoming(&self) -> &[Upcoming] {
        &self.upcoming
    }

    /// The factor by which the load of a prefix is to grow, 1 to 2: only growth calls for action.
    pub fn factor(&self, prefix: &KeyPrefix) -> f64 {
        self.seasons.get(prefix).map_or(1.0, |season| season.growth(Self::HORIZON).clamp(1.0, Self::MOST))
    }

    /// Prefixes with a trend, and families.
    pub fn len(&self) -> (usize, usize) {
        (self.seasons.len(), self.families.len())
    }

    /// `true` while nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

impl Family {
    fn see(&mut self, value: i64, now: Millis) {
        self.seen = now;
        if value == self.value {
            return;
        }
        let (step, interval) = (value - self.value, now.saturating_sub(self.since));
        let similar = self.step == step && interval.abs_diff(self.interval) <= (self.interval / 10).max(2 * ROUND_MS);
        *self = Self { value, since: now, step, interval, alike: if similar { self.alike + 1 } else { 0 }, seen: now };
    }

    /// The next on a scale of time: when the clock gets there. In UTC at once, in another zone after a step was seen.
    fn next_on_clock(&self, unit: u64) -> Option<(i64, Millis)> {
        let clock = |at: Millis| (at / unit) as i64;
        let ahead = self.value - clock(self.seen);
        let zone = (Forecast::ZONES * 3_600_000).div_euclid(unit as i64).max(1);
        let proven = self.step == 1 && self.interval.abs_diff(unit) <= (unit / 10).max(2 * ROUND_MS);
        if ahead != 0 && (!proven || ahead.abs() > zone) {
            return None;
        }
        let at = (self.value + 1 - ahead) as u64 * unit;
        Some((1, at))
    }

    /// The next at the pace of the last two.
    fn next_by_pace(&self) -> Option<(i64, Millis)> {
        (self.alike > 0 && self.step > 0).then(|| (self.step, self.since + self.interval))
    }
}

/// The name of a family, and how to make that of a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Common {
    /// The components before, and the one that steps with its value left out.
    text: String,
    before: String,
    example: String,
    value: i64,
    unit_ms: Option<u64>,
}

impl Common {
    fn member(&self, value: i64) -> Option<KeyPrefix> {
        let component =
            if value == self.value { self.example.clone() } else { stepped(&self.example, value - self.value)? };
        KeyPrefix::from_canonical(&format!("{}{component}", self.before))
    }
}

/// The families of heavy prefixes, with the values of their members and their loads.
fn families(heavy: &[PrefixNow]) -> Vec<(Common, Vec<(i64, f64)>)> {
    let mut all: BTreeMap<String, (Common, BTreeMap<i64, f64>)> = BTreeMap::new();
    for prefix in heavy {
        let mut before = String::new();
        for component in prefix.prefix.as_str().split('/') {
            if let Some(step) = step_of(component) {
                let kind: String = component.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
                let text = format!("{before}{kind}");
                let common = || Common {
                    text: text.clone(),
                    before: before.clone(),
                    example: component.to_owned(),
                    value: step.value,
                    unit_ms: step.unit_ms,
                };
                let (_, members) = all.entry(text.clone()).or_insert_with(|| (common(), BTreeMap::new()));
                // A prefix and one below it both count the same requests.
                let load = members.entry(step.value).or_default();
                *load = load.max(prefix.load);
            }
            before.push_str(component);
            before.push('/');
        }
    }
    all.into_values().map(|(common, members)| (common, members.into_iter().collect())).collect()
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
