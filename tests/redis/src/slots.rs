//! Slots that move from one master to another.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use redis::{Connection, FromRedisValue as _, Value};

use crate::cluster::{PATIENCE, RedisCluster};

/// Keys that `redis-cli --cluster reshard` moves at once unless told otherwise.
pub const AT_ONCE: usize = 10;

/// A slot on its way, in the classic way: key by key, by `MIGRATE`. Until [`SlotMove::finish`], both masters are asked for
/// its keys.
pub struct SlotMove<'a> {
    cluster: &'a RedisCluster,
    slot: u16,
    from: usize,
    to: usize,
    source: Connection,
}

impl SlotMove<'_> {
    /// The master that the slot moves to.
    pub fn to(&self) -> usize {
        self.to
    }

    /// Moves `keys`; those that do not exist are passed over.
    ///
    /// # Errors
    /// Where a master refuses, or does not answer.
    pub fn take(&mut self, keys: &[String]) -> Result<()> {
        let port = self.cluster.port(self.to);
        let mut command = redis::cmd("MIGRATE");
        command.arg("127.0.0.1").arg(port).arg("").arg(0).arg(5_000).arg("KEYS").arg(keys);
        Ok(command.query(&mut self.source)?)
    }

    /// Moves up to `most` keys; returns how many that were.
    ///
    /// # Errors
    /// As [`SlotMove::take`].
    pub fn some(&mut self, most: usize) -> Result<usize> {
        let mut command = redis::cmd("CLUSTER");
        let keys: Vec<String> = command.arg("GETKEYSINSLOT").arg(self.slot).arg(most).query(&mut self.source)?;
        if !keys.is_empty() {
            self.take(&keys)?;
        }
        Ok(keys.len())
    }

    /// Moves what is left, `at_once` keys at a time with a pause after each, and gives the slot to its new master.
    ///
    /// # Errors
    /// As [`SlotMove::take`].
    pub fn finish(mut self, at_once: usize, pause: Duration) -> Result<()> {
        while self.some(at_once)? > 0 {
            std::thread::sleep(pause);
        }
        let node = self.cluster.id(self.to)?;
        let others = self.cluster.shards()?.into_iter().map(|shard| shard.master);
        let others = others.filter(|&master| master != self.to && master != self.from);
        // The importing one first: nobody is to give the slot away before somebody has it.
        for master in [self.to, self.from].into_iter().chain(others) {
            self.cluster.set_slot(master, self.slot, "NODE", &node)?;
        }
        Ok(())
    }
}

impl RedisCluster {
    /// Adds a master without slots and replicas, and waits until all others know it and it knows all slots. Returns its
    /// number. From then on [`RedisCluster::wait_until_whole`] fails, as it has no part of the cluster.
    ///
    /// # Errors
    /// If it does not come up, or the others do not take it in.
    pub fn add_master(&mut self) -> Result<usize> {
        let (known, number) = (self.port(0), self.add_server()?);
        self.ask::<String>(number, &["CLUSTER", "MEET", "127.0.0.1", &known.to_string()])?;
        let id = self.id(number)?;
        self.wait_for("the new master is not known", || {
            for server in 0..=number {
                let nodes: String = self.ask(server, &["CLUSTER", "NODES"])?;
                let state: String = self.ask(server, &["CLUSTER", "INFO"])?;
                let knows = nodes.contains(&id) && !nodes.contains("handshake") && state.contains("cluster_state:ok");
                ensure!(knows && state.contains("cluster_slots_assigned:16384"), "server {server} does not");
            }
            Ok(())
        })?;
        Ok(number)
    }

    /// The slot of the key called `name`.
    ///
    /// # Errors
    /// If the first server does not answer.
    pub fn slot_of(&self, name: &str) -> Result<u16> {
        self.ask(0, &["CLUSTER", "KEYSLOT", name])
    }

    /// The slots of `master` that hold keys with names like `pattern` (as `KEYS` takes it).
    ///
    /// # Errors
    /// If it does not answer.
    pub fn used_slots(&self, master: usize, pattern: &str) -> Result<Vec<u16>> {
        let mut tags: Vec<String> = self.ask::<Vec<String>>(master, &["KEYS", pattern])?;
        tags.iter_mut().for_each(|name| *name = name.split_inclusive('}').next().unwrap_or_default().to_owned());
        tags.sort_unstable();
        tags.dedup();
        let mut slots = tags.iter().map(|tag| self.slot_of(tag)).collect::<Result<Vec<u16>>>()?;
        slots.sort_unstable();
        slots.dedup();
        Ok(slots)
    }

    fn id(&self, server: usize) -> Result<String> {
        self.ask(server, &["CLUSTER", "MYID"])
    }

    fn set_slot(&self, server: usize, slot: u16, state: &str, node: &str) -> Result<()> {
        self.ask::<String>(server, &["CLUSTER", "SETSLOT", &slot.to_string(), state, node]).map(drop)
    }

    /// Begins to move `slot` to the master `to`, in the classic way. No key has moved yet.
    ///
    /// # Errors
    /// Where a master refuses, or does not answer.
    pub fn begin_move(&self, slot: u16, to: usize) -> Result<SlotMove<'_>> {
        let from = self.master_of(slot)?;
        self.set_slot(to, slot, "IMPORTING", &self.id(from)?)?;
        self.set_slot(from, slot, "MIGRATING", &self.id(to)?)?;
        Ok(SlotMove { cluster: self, slot, from, to, source: self.connection(from)? })
    }

    /// Tells whether its servers can hand slots over as a whole (`CLUSTER MIGRATESLOTS`, Valkey from 9.0 on).
    ///
    /// # Errors
    /// If the first server does not answer.
    pub fn moves_slots_atomically(&self) -> Result<bool> {
        let info: String = self.ask(0, &["INFO", "server"])?;
        let version = info.lines().find_map(|line| line.strip_prefix("valkey_version:"));
        let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        Ok(major.is_some_and(|major| major >= 9))
    }

    /// Moves `slots`, all of one master, to the master `to` at one instant, and waits until that is done.
    ///
    /// # Errors
    /// Where a master refuses, the move fails, or it takes more than a minute.
    pub fn move_atomically(&self, slots: &[u16], to: usize) -> Result<()> {
        let from = self.master_of(*slots.first().context("no slots")?)?;
        let node = self.id(to)?;
        let ranges: Vec<String> = slots.iter().flat_map(|slot| [slot.to_string(), slot.to_string()]).collect();
        let mut words = vec!["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"];
        words.extend(ranges.iter().map(String::as_str));
        words.extend(["NODE", &node]);
        self.ask::<String>(from, &words)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let moves: Vec<Vec<Value>> = self.ask(from, &["CLUSTER", "GETSLOTMIGRATIONS"])?;
            let newest = moves.into_iter().next().context("no move has begun")?;
            let words = newest.into_iter().map(|value| String::from_redis_value(value).unwrap_or_default());
            let words: Vec<String> = words.collect();
            let state = words.iter().position(|word| word == "state").and_then(|at| words.get(at + 1));
            match state.context("a move without a state")?.as_str() {
                "success" => return Ok(()),
                state @ ("failed" | "cancelled") => bail!("the slots were not moved: {state} {words:?}"),
                _ => ensure!(Instant::now() < deadline, "the slots are not moved within a minute: {words:?}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
