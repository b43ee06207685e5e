//! Cost of making one model of what clients tell: a hub, and a merger that is as full as it may be.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use foremap::Millis;
use foremap::hub::{Caller, Hub, HubConfig, PendingRows};
use foremap::key::CompositeKey;
use foremap::model::{
    CLASSES, ClientId, Path, PathStep, SharedModel, SharedModelConfig, SnapshotOptions, Summary, Trail, class_of,
};
use foremap_replay::compressed;

const HOUR: Millis = 3_600_000;
/// Clients that must have gone a way, so that others are told of it.
const CLIENTS: u32 = 2;

/// Summaries in binary form, each with the client that it counts for.
pub struct Visits(Vec<(Caller, Vec<u8>)>);

impl Visits {
    /// Reads visits, one a line: a number for the client, and the keys that it asked for. Each is told of as a tab does
    /// when it goes.
    ///
    /// # Errors
    /// For a line that is none.
    pub fn new(lines: &str) -> Result<Self, String> {
        lines.lines().enumerate().map(|(number, line)| visit(number as u64, line)).collect::<Result<_, _>>().map(Self)
    }

    /// Number of summaries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn visit(number: u64, line: &str) -> Result<(Caller, Vec<u8>), String> {
    let (client, keys) = line.split_once(' ').ok_or_else(|| format!("`{line}` is no visit"))?;
    let client = ClientId(client.parse().map_err(|_| format!("`{client}` is no number"))?);
    let (mut trail, mut asked) = (Trail::new(number), HashSet::new());
    for text in keys.split(' ') {
        let key = CompositeKey::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
        trail.note("", &key, !asked.insert(text));
    }
    let summary = trail.take().ok_or_else(|| format!("`{line}` asks for nothing"))?;
    // As with a token: what an address may tell in a minute is not what is measured.
    Ok((Caller { client, prefixes: None, is_verified: true }, summary.encode()))
}

/// Time that a hub took for the second half of the visits, with a model of the first half to judge by.
#[derive(Debug, Clone, Copy)]
pub struct Merging {
    /// To take, store as rows and merge them.
    pub merge: Duration,
    /// To make then a model in all its sizes, and the counts that are stored.
    pub round: Duration,
    /// Number of summaries merged.
    pub merged: usize,
}

impl Merging {
    /// Times it.
    ///
    /// # Errors
    /// Where the hub refuses a summary, or makes no model.
    pub fn measure(visits: &Visits) -> Result<Self, String> {
        let (first, second) = visits.0.split_at(visits.len() / 2);
        let mut hub = Hub::new(HubConfig { clients: CLIENTS, ..HubConfig::default() });
        hub.resume(&[], &[]);
        let merge = |hub: &mut Hub, now, visits: &[(Caller, Vec<u8>)]| {
            let mut pending = PendingRows::default();
            for (caller, summary) in visits {
                let (row, _) = hub.take(now, caller, summary, pending).map_err(|refusal| format!("{refusal:?}"))?;
                pending = PendingRows { rows: pending.rows + 1, bytes: pending.bytes + row.len() };
                hub.merge(now, &row);
            }
            Ok::<_, String>(pending)
        };
        let pending = merge(&mut hub, HOUR, first)?;
        black_box(hub.round(HOUR, pending, &|bytes| compressed(bytes).len()));
        let now = HOUR + HubConfig::default().every_ms;
        let begun = Instant::now();
        let pending = merge(&mut hub, now, second)?;
        let merged = begun.elapsed();
        let round = hub.round(now, pending, &|bytes| compressed(bytes).len());
        let all = begun.elapsed();
        if round.model.is_none() || round.counts.is_none() {
            return Err("no model was due".to_owned());
        }
        Ok(Self { merge: merged, round: all - merged, merged: second.len() })
    }
}

/// Figures of the snapshots of a full merger.
#[derive(Debug)]
pub struct Full {
    /// Ways merged.
    pub ways: usize,
    /// Keys on them.
    pub keys: usize,
    /// For all sizes of snapshots together.
    pub time: Duration,
    /// The snapshot of the usual size, and its bytes compressed.
    pub usual: (Vec<u8>, usize),
}

/// Pages in one chain.
const CHAIN: u64 = 100;

impl Full {
    /// Merges so many chains of a hundred pages, each told by two clients or a few more, and makes snapshots.
    ///
    /// # Errors
    /// Where no snapshot is made.
    pub fn measure(chains: u64) -> Result<Self, String> {
        let mut model = SharedModel::new(SharedModelConfig::default());
        let (mut told, mut now) = (0, HOUR);
        for chain in 0..chains {
            // Few are popular: of a thousand chains half have two clients, a third of the others three, and so on up to 64.
            let clients = 1 + (1_000 / (chain % 1_000 + 1)).min(63);
            for client in 0..clients {
                told += 1;
                // A new hour, before there are more pairs of client and way than one may have.
                if told % 5_000 == 0 {
                    now += HOUR;
                }
                model.merge(now, ClientId(told), &chain_told(told, chain, client)?);
            }
        }
        let stats = model.stats();
        let options = SnapshotOptions {
            min_clients: CLIENTS,
            is_shared: &|_| false,
            max_bytes: CLASSES[CLASSES.len() - 1],
            compressed: &|bytes| compressed(bytes).len(),
        };
        let begun = Instant::now();
        let snapshots = model.snapshots(now, &options, &CLASSES);
        let time = begun.elapsed();
        // Where all fits into a smaller one, that is the last.
        let usual = snapshots.get(class_of(64 << 10)).or(snapshots.last()).ok_or("no snapshot")?.encode();
        let bytes = compressed(&usual).len();
        Ok(Self { ways: stats.ways, keys: stats.keys, time, usual: (usual, bytes) })
    }
}

/// A visit along a chain: all of it by the first two clients, and of the others each a shorter part.
fn chain_told(instance: u64, chain: u64, client: u64) -> Result<Summary, String> {
    let length = CHAIN / client.max(1);
    let name = |page: u64| {
        format!("site/{}/page-{:08x}", chain % 50, (chain * CHAIN + page).wrapping_mul(2_654_435_761) as u32)
    };
    let parse = |page| CompositeKey::parse(&name(page)).map_err(|error| error.to_string());
    let keys = (0..length).map(parse).collect::<Result<_, _>>()?;
    let steps = (0..length as u32).map(|key| PathStep { key, repeated: false }).collect();
    Ok(Summary { instance, epoch: 1, keys, paths: vec![Path { told: 0, steps }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_makes_a_model_of_visits() {
        let lines: String =
            (0..200).map(|visit| format!("{visit} home list/{} item/{} home\n", visit % 3, visit % 7)).collect();
        let visits = Visits::new(&lines).expect("visits");
        let merging = Merging::measure(&visits).expect("a model");
        assert_eq!((visits.len(), merging.merged), (200, 100));
        assert!(["7", "x home", "7 a//b"].iter().all(|line| Visits::new(line).is_err()));
    }

    #[test]
    fn a_chain_has_as_many_ways_as_steps() {
        let full = Full::measure(30).expect("a snapshot");
        assert_eq!((full.keys, full.ways), (3_000, 30 * (99 + 98)));
        let snapshot = foremap::protocol::ModelSnapshot::decode(&full.usual.0).expect("a snapshot");
        assert!(!snapshot.rules.is_empty() && full.usual.1 <= 64 << 10, "{}", full.usual.1);
    }
}
