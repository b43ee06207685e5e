//! [`StoreStatus`]: how a store is doing.

/// State of a master, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterStatus {
    /// `host:port`.
    pub address: String,
    /// True while requests to it are refused at once, because it did not answer or its replicas did not acknowledge.
    pub open: bool,
    /// Pipelines begun, so far.
    pub attempts: u64,
    /// Of these, those that failed: without an answer, or with one that does not count.
    pub failures: u64,
    /// Requests that wait in its queues, and the most that may.
    pub waiting: (usize, usize),
    /// Replicas that must acknowledge: all that the cluster lists, and whoever else is attached and in step.
    pub replicas: u32,
    /// Of the attached replicas, those that are not of the cluster.
    pub outside: u32,
    /// Replicas that did not acknowledge, while what the master says does not count for that.
    pub lacking: Vec<String>,
    /// Why what it said last does not count; `None` where it does.
    pub trouble: Option<String>,
    /// Why its shards take no writes: a rule that it or one of its replicas breaks.
    pub unfit: Option<String>,
    /// True if it and its replicas have a write on disk before they acknowledge.
    pub is_durable: bool,
}

/// Something that keeps a store from doing all that it should, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Trouble {
    /// Part that has it: a server, this machine, the file.
    pub what: String,
    /// Description of what is wrong, what that does, and what to do about it.
    pub why: String,
    /// True if it keeps this process from writing at all. Otherwise it is about some shards, at every process alike.
    #[serde(skip)]
    pub is_whole: bool,
}

/// Distance of a clock from the time that most agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockStatus {
    /// Owner of the clock: `host:port`, or [`ClockStatus::OWN`].
    pub whose: String,
    /// Milliseconds that it is ahead; below 0 where it is behind.
    pub ahead_ms: i64,
}

impl ClockStatus {
    /// This machine.
    pub const OWN: &'static str = "this machine";
}

/// State of a store file, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStatus {
    /// True while nothing can be written.
    pub is_broken: bool,
    /// Writes that failed or were refused as the disk did, so far.
    pub failed_writes: u64,
    /// Times that the file was opened again after an error.
    pub reopened: u64,
}

/// State of a store at this moment, for operators and metrics.
pub trait StoreStatus: Send + Sync + 'static {
    /// Writes that wait to be performed, and the most that may.
    fn waiting(&self) -> (usize, usize);

    /// Lists the state of each of its masters; none where it is a file.
    fn masters(&self) -> Vec<MasterStatus> {
        Vec::new()
    }

    /// Lists what keeps it from doing all that it should, now; empty where nothing does.
    fn troubles(&self) -> Vec<Trouble> {
        Vec::new()
    }

    /// Clocks that were compared, this machine's first; none where there is nothing to compare with.
    fn clocks(&self) -> Vec<ClockStatus> {
        Vec::new()
    }

    /// State of its file; `None` where it has none.
    fn disk(&self) -> Option<DiskStatus> {
        None
    }

    /// Microseconds since 1970, by the clocks that versions follow.
    fn now_us(&self) -> u64;
}

/// Lists what is wrong with the store, and with each of its masters.
pub(crate) fn troubles(store: &dyn StoreStatus) -> Vec<Trouble> {
    let of = |master: MasterStatus| {
        let unfit = master.unfit.map(|why| format!("takes no writes: {why}"));
        let whys = master.trouble.into_iter().chain(unfit);
        whys.map(|why| Trouble { what: master.address.clone(), why, is_whole: false }).collect::<Vec<_>>()
    };
    store.troubles().into_iter().chain(store.masters().into_iter().flat_map(of)).collect()
}
