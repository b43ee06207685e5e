//! A reader of the change feed, and whether it was told everything.
//!
//! It stays at one gateway until that one falls silent or goes away, then resumes at the next one from the last event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use foremap::protocol::BatchResponse;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use tokio::sync::watch;

use crate::http::{Http, request};
use crate::load::Load;
use crate::recorder::Acknowledged;

/// A feed says something every second.
const SILENCE: Duration = Duration::from_millis(2_500);

/// Account of what a reader was told.
#[derive(Debug, Default)]
pub(crate) struct FeedLog {
    /// Positions at which it began, by shard.
    start: BTreeMap<u16, u64>,
    /// Positions up to which it was told everything, by shard.
    cursor: BTreeMap<u16, u64>,
    told: BTreeMap<(u16, u64), (String, bool)>,
    /// Spans of positions that a reset left out: after the first, up to the second.
    gaps: Vec<(u16, u64, u64)>,
    /// Number of times that it went to another gateway.
    pub(crate) resumed: usize,
    /// Accounts of what should not have been told.
    pub(crate) wrong: Vec<String>,
    id: String,
}

impl FeedLog {
    /// Tells whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        !self.start.is_empty()
    }

    pub(crate) fn resets(&self) -> usize {
        self.gaps.len()
    }

    pub(crate) fn changes(&self) -> usize {
        self.told.len()
    }

    /// Tells whether it was told everything up to each of `writes`.
    pub(crate) fn has_reached(&self, writes: &[Acknowledged]) -> bool {
        writes.iter().all(|write| self.cursor.get(&write.shard).is_none_or(|&at| at >= write.version))
    }

    /// Those of `writes` that it was not told, or told wrongly; and what it was told that is not among the `kept` versions.
    pub(crate) fn faults(&self, writes: &[Acknowledged], prefix: &str, kept: &BTreeSet<u64>) -> Vec<String> {
        let mut faults = self.wrong.clone();
        for write in writes.iter().filter(|write| write.key.as_str().starts_with(prefix)) {
            let at = write.version;
            let begun = self.start.get(&write.shard).is_some_and(|&start| start < at);
            let gap = self.gaps.iter().any(|&(shard, from, to)| shard == write.shard && from < at && at <= to);
            if !begun || gap {
                continue;
            }
            let told = self.told.get(&(write.shard, at));
            if told.is_none_or(|(key, deleted)| key != write.key.as_str() || *deleted != write.deleted) {
                faults.push(format!("the feed told {told:?} of {write:?}"));
            }
        }
        let lost =
            self.told.iter().filter(|((_, version), (key, _))| key.starts_with(prefix) && !kept.contains(version));
        faults.extend(lost.map(|told| format!("the feed told of {told:?}, which is not stored")));
        faults
    }

    fn event(&mut self, event: &str) {
        let field = |name: &str| {
            let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|line| line.strip_prefix(' ').unwrap_or(line))
        };
        let (Some(id), Some(data)) = (field("id"), field("data")) else { return };
        let Ok(response) = serde_json::from_str::<BatchResponse>(data) else {
            return self.wrong.push(format!("a feed's event cannot be decoded: {data}"));
        };
        let cursors = id.split(',').filter_map(|part| {
            let (shard, position) = part.split_once(':')?;
            Some((shard.parse::<u16>().ok()?, position.parse::<u64>().ok()?))
        });
        let cursors: BTreeMap<u16, u64> = cursors.collect();
        let first = !self.has_begun();
        for change in &response.changes {
            let before = self.cursor.get(&change.shard).copied().unwrap_or(0);
            let last = self.told.range((change.shard, 0)..=(change.shard, u64::MAX)).next_back();
            let last = last.map_or(0, |((_, version), _)| *version);
            if change.version <= before.max(last) && !first {
                self.wrong.push(format!("the feed told {change:?} after {before} and {last}"));
            }
            self.told.insert((change.shard, change.version), (change.key.as_str().to_owned(), change.deleted));
        }
        for &shard in &response.resets {
            let (from, to) = (self.cursor.get(&shard), cursors.get(&shard));
            if let (Some(&from), Some(&to)) = (from, to) {
                self.gaps.push((shard, from, to));
            }
        }
        if first {
            self.start = cursors.clone();
        }
        for (shard, position) in cursors {
            let before = self.cursor.insert(shard, position).unwrap_or(0);
            if position < before && !response.resets.contains(&shard) {
                self.wrong.push(format!("the feed went back in shard {shard} from {before} to {position}"));
            }
        }
        self.id = id.to_owned();
    }
}

/// Follows the changes of everything below `prefix`, beginning at gateway `at`, until told to stop.
pub(crate) async fn follow(
    load: Load,
    prefix: String,
    mut at: usize,
    log: Arc<parking_lot::Mutex<FeedLog>>,
    mut stop: watch::Receiver<bool>,
) {
    let lock = || log.lock();
    let http = Http::new();
    loop {
        let origin = &load.origins[at % load.origins.len()];
        let id = lock().id.clone();
        let headers: &[(&str, &str)] = if id.is_empty() { &[] } else { &[("last-event-id", &id)] };
        let request = request(Method::GET, &format!("{origin}/v1/changes?prefix={prefix}"), headers, Bytes::new());
        let reading = async {
            let Ok(Ok(response)) = tokio::time::timeout(SILENCE, http.open(request)).await else { return };
            if response.status() != 200 {
                return;
            }
            let mut body = response.into_body();
            let mut buffer = String::new();
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, body.frame()).await {
                let Ok(data) = frame.into_data() else { continue };
                buffer.push_str(&String::from_utf8_lossy(&data));
                while let Some(end) = buffer.find("\n\n") {
                    lock().event(&buffer[..end]);
                    buffer.drain(..end + 2);
                }
            }
        };
        tokio::select! {
            () = reading => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        at += 1;
        lock().resumed += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
