//! [`Clocks`]: compares the clocks of all servers and this machine's, so that nothing is written by one that is ahead.
//!
//! The clocks of other gateways are not asked for. A version is made of the clock of the master that writes it, and of a
//! gateway's clock it takes no more than one vote on how late it can be at most; so a gateway that is ahead can neither
//! write by its own clock nor make a master do so, and by the servers it finds out by itself that it is. Gateways would be
//! many more votes than servers, though, and often wrong together, as they take the time from the same place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foremap::node::{MAX_AHEAD_US, agreed_time};
use foremap::protocol::MAX_VERSION;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;

use super::cluster::Cluster;
use super::connect::Connector;
use super::options::Address;
use super::reply::time;
use crate::store::{Clock, ClockStatus, StoreError, Trouble};

/// Between two comparisons. What is written meanwhile is checked by the server itself, against the time of the last one.
const EVERY: Duration = Duration::from_secs(2);
/// Servers asked at once.
const ASKED: usize = 16;

/// Result of one comparison.
struct Compared {
    at: Instant,
    /// Time that most clocks showed then, in microseconds.
    agreed_us: u64,
    /// Every clock, this machine's first.
    clocks: Vec<ClockStatus>,
}

/// The clocks of a cluster, as seen from here. Memory: some 60 bytes a server.
pub(super) struct Clocks {
    connector: Connector,
    own: Clock,
    compared: Mutex<Option<Compared>>,
}

impl Clocks {
    pub(super) fn new(connector: Connector, own: Clock) -> Self {
        Self { connector, own, compared: Mutex::default() }
    }

    /// Time that most clocks show now: goes on from the last comparison at the pace of a clock that nobody sets.
    pub(super) fn now_us(&self) -> u64 {
        let agreed = self.compared.lock().as_ref().map(|last| last.agreed_us.saturating_add(micros(last.at.elapsed())));
        agreed.unwrap_or_else(|| (self.own)())
    }

    /// The latest time that it can be: a server that believes it is later does not write.
    pub(super) fn latest_us(&self) -> u64 {
        self.now_us().saturating_add(MAX_AHEAD_US).min(MAX_VERSION)
    }

    /// Refuses where this machine's own clock is ahead.
    pub(super) fn check_own(&self) -> Result<(), StoreError> {
        match self.troubles().into_iter().find(|trouble| trouble.is_whole) {
            Some(trouble) => Err(StoreError::Unavailable(format!("{}: {}", trouble.what, trouble.why))),
            None => Ok(()),
        }
    }

    pub(super) fn all(&self) -> Vec<ClockStatus> {
        self.compared.lock().as_ref().map_or_else(Vec::new, |last| last.clocks.clone())
    }

    /// Clocks that are so far ahead that nothing is written by them.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let compared = self.compared.lock();
        let clocks = compared.as_ref().map_or(&[][..], |last| &last.clocks);
        let is_ahead = |clock: &&ClockStatus| clock.ahead_ms > (MAX_AHEAD_US / 1_000) as i64;
        clocks.iter().filter(is_ahead).map(trouble).collect()
    }

    /// Asks all of `servers`, and compares. Those that do not answer are left out.
    pub(super) async fn compare(&self, servers: Vec<Address>) {
        let asked =
            stream::iter(servers).map(|server| async move { Some((server.to_string(), self.ask(&server).await?)) });
        let answers: Vec<_> = asked.buffer_unordered(ASKED).filter_map(std::future::ready).collect().await;
        let (at, own) = (Instant::now(), (self.own)());
        // Every reading, as if it had been made now.
        let reading = |(server, (then, us)): (String, (Instant, u64))| {
            (server, us.saturating_add(micros(at.saturating_duration_since(then))))
        };
        let mut readings: Vec<(String, u64)> = answers.into_iter().map(reading).collect();
        readings.sort_unstable();
        readings.insert(0, (ClockStatus::OWN.to_owned(), own));
        let agreed = agreed_time(&mut readings.iter().map(|(_, us)| *us).collect::<Vec<_>>());
        let agreed_us = agreed.unwrap_or(own);
        let status = |(whose, us): (String, u64)| {
            let ahead_us = i128::from(us) - i128::from(agreed_us);
            ClockStatus { whose, ahead_ms: i64::try_from(ahead_us / 1_000).unwrap_or(i64::MAX) }
        };
        let clocks = readings.into_iter().map(status).collect();
        let before = self.troubles();
        *self.compared.lock() = Some(Compared { at, agreed_us, clocks });
        tell(&before, &self.troubles());
    }

    /// Asks what the clock of `server` shows, and tells when, give or take half the time that it took to ask.
    async fn ask(&self, server: &Address) -> Option<(Instant, u64)> {
        let sent = Instant::now();
        let values = self.connector.ask(server, &[::redis::cmd("TIME")]).await.ok()?;
        let us = time(values.into_iter().next()?).ok()?;
        Some((sent + sent.elapsed() / 2, us))
    }

    /// Compares until the store is dropped.
    pub(super) async fn follow(self: Arc<Self>, cluster: Arc<Cluster>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.compare(cluster.servers()).await;
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn trouble(clock: &ClockStatus) -> Trouble {
    let (what, is_whole) = (clock.whose.clone(), clock.whose == ClockStatus::OWN);
    let what_stops = if is_whole { "this process does not write" } else { "shards whose master it is take no writes" };
    let seconds = (clock.ahead_ms + 500) / 1_000;
    let why = format!("its clock is {seconds} s ahead of the others; {what_stops} until it is set right");
    Trouble { what, why, is_whole }
}

/// Logs what is new, once.
fn tell(before: &[Trouble], now: &[Trouble]) {
    let names = |troubles: &[Trouble]| -> BTreeSet<String> { troubles.iter().map(|t| t.what.clone()).collect() };
    let (known, bad) = (names(before), names(now));
    for Trouble { what, why, .. } in now.iter().filter(|trouble| !known.contains(&trouble.what)) {
        tracing::error!("{what}: {why}");
    }
    for what in known.difference(&bad) {
        tracing::info!("{what}: its clock agrees with the others again");
    }
}

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
