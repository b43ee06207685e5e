//! [`Fault`]: a blow to processes, and its end.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::fleet::{Fleet, MASTERS};

/// Longest time that Redis may take to promote a replica: much, because machines that run tests are busy.
const FAILOVER: Duration = Duration::from_secs(30);

/// Time that a master that will be lost writes alone.
const TAIL: Duration = Duration::from_millis(600);

/// Slots that move in one fault: of a round's 60 keys each has a few.
const SLOTS: usize = 6;
/// Between two keys of a slot that moves key by key, so that clients meet it half moved; longer for one slot, which then takes
/// longer than writes are waited for.
const KEY_PAUSE: Duration = Duration::from_millis(30);
const LONG_KEY_PAUSE: Duration = Duration::from_millis(250);

/// One blow. Masters are named by their place among the shards of the cluster, by first slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL of a master, that comes back only once its replica is promoted.
    MasterKilled { shard: usize },
    /// SIGKILL of a master, that comes back before anybody takes its place.
    MasterRestarted { shard: usize },
    /// SIGSTOP of a master until its replica is promoted; it wakes up deposed.
    MasterDeposed { shard: usize },
    /// A replica takes the lead over without asking its master, and later the master takes it back.
    HandedOver { shard: usize },
    /// SIGKILL of the replicas, then of the master, which alone has the last writes; the replicas come back, and one of them
    /// is promoted without those writes. Nobody may have been told of them.
    TailLost { shard: usize },
    /// A server that is not of the cluster replicates from a master while the replicas are cut off, and acknowledges in
    /// their place; then SIGKILL of the master, and one of them is promoted without its last writes.
    StoodInFor { shard: usize },
    /// SIGKILL of a replica: without it no write of its master counts.
    ReplicaKilled { shard: usize },
    /// Slots of a master move to the next one, and later back: key by key, or as a whole.
    SlotsMoved { shard: usize, atomic: bool },
    /// SIGKILL of a gateway.
    GatewayKilled { gateway: usize },
    /// SIGSTOP of a gateway.
    GatewayPaused { gateway: usize },
    /// SIGTERM of a gateway.
    GatewayStopped { gateway: usize },
}

impl Fault {
    /// Tells whether it strikes a gateway, and not the store.
    pub(crate) fn is_of_gateway(self) -> bool {
        matches!(self, Self::GatewayKilled { .. } | Self::GatewayPaused { .. } | Self::GatewayStopped { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MasterKilled { shard } => write!(f, "master {shard} killed"),
            Self::MasterRestarted { shard } => write!(f, "master {shard} restarted"),
            Self::MasterDeposed { shard } => write!(f, "master {shard} deposed"),
            Self::HandedOver { shard } => write!(f, "master {shard} handed over and back"),
            Self::TailLost { shard } => write!(f, "master {shard} lost with its tail"),
            Self::SlotsMoved { shard, atomic: false } => write!(f, "slots of master {shard} moved key by key"),
            Self::SlotsMoved { shard, atomic: true } => write!(f, "slots of master {shard} moved as a whole"),
            Self::StoodInFor { shard } => write!(f, "replica {shard} stood in for by an outsider"),
            Self::ReplicaKilled { shard } => write!(f, "replica {shard} killed"),
            Self::GatewayKilled { gateway } => write!(f, "gateway {} killed", gateway + 1),
            Self::GatewayPaused { gateway } => write!(f, "gateway {} paused", gateway + 1),
            Self::GatewayStopped { gateway } => write!(f, "gateway {} stopped", gateway + 1),
        }
    }
}

/// End of a fault.
#[derive(Debug)]
enum Undo {
    StartServer(usize),
    StartServerAlone(usize),
    ResumeServer(usize),
    HandBack(usize),
    MoveBack { slots: Vec<u16>, to: usize, atomic: bool },
    StartGateway(usize),
    ResumeGateway(usize),
}

/// A fault that lasts.
#[derive(Debug)]
pub(crate) struct Struck {
    fault: Fault,
    undo: Undo,
    /// The master before it.
    master: Option<usize>,
}

impl Struck {
    /// Strikes, where only some slots are struck those with keys that begin with `prefix`.
    pub(crate) fn by(fault: Fault, fleet: &mut Fleet, prefix: &str) -> Result<Self> {
        let (undo, master) = match fault {
            Fault::MasterKilled { shard } | Fault::MasterRestarted { shard } => {
                let master = master_of(fleet, shard)?;
                fleet.redis.kill(master)?;
                (Undo::StartServer(master), Some(master))
            }
            Fault::MasterDeposed { shard } => {
                let master = master_of(fleet, shard)?;
                fleet.redis.pause(master)?;
                (Undo::ResumeServer(master), Some(master))
            }
            Fault::HandedOver { shard } => {
                let master = master_of(fleet, shard)?;
                let replicas = &fleet.redis.shards()?[shard].replicas;
                take_over(fleet, *replicas.first().context("a master without replicas")?)?;
                (Undo::HandBack(master), Some(master))
            }
            Fault::TailLost { shard } => {
                let master = master_of(fleet, shard)?;
                let replicas = fleet.redis.shards()?.swap_remove(shard).replicas;
                replicas.iter().try_for_each(|&replica| fleet.redis.kill(replica))?;
                std::thread::sleep(TAIL);
                fleet.redis.kill(master)?;
                replicas.iter().try_for_each(|&replica| fleet.redis.restart(replica))?;
                (Undo::StartServer(master), Some(master))
            }
            Fault::StoodInFor { shard } => {
                let master = master_of(fleet, shard)?;
                let replicas = fleet.redis.shards()?.swap_remove(shard).replicas;
                fleet.redis.start_outside(master)?;
                replicas.iter().try_for_each(|&replica| fleet.redis.pause(replica))?;
                // The outsider connects again, those that stand still do not.
                fleet.redis.ask::<i64>(master, &["CLIENT", "KILL", "TYPE", "replica"])?;
                fleet.redis.wait_for("the outsider does not connect again", || {
                    let info: String = fleet.redis.ask(master, &["INFO", "replication"])?;
                    if info.contains("state=online") { Ok(()) } else { bail!("no replica is attached") }
                })?;
                std::thread::sleep(TAIL);
                fleet.redis.kill(master)?;
                replicas.iter().try_for_each(|&replica| fleet.redis.resume(replica))?;
                (Undo::StartServerAlone(master), Some(master))
            }
            Fault::ReplicaKilled { shard } => {
                let replicas = &fleet.redis.shards()?[shard].replicas;
                let replica = *replicas.first().context("a master without replicas")?;
                fleet.redis.kill(replica)?;
                (Undo::StartServer(replica), None)
            }
            Fault::SlotsMoved { shard, atomic } => {
                let masters = (0..MASTERS).map(|nth| master_of(fleet, (shard + nth) % MASTERS));
                let masters = masters.collect::<Result<Vec<usize>>>()?;
                // A round has few keys, and a master may have none of them.
                let used = |&from: &usize| fleet.redis.used_slots(from, &format!("*}}/{prefix}*"));
                let used = masters.iter().map(used).collect::<Result<Vec<_>>>()?;
                let first = used.iter().position(|slots| !slots.is_empty()).unwrap_or_default();
                let (used, from, to) = (&used[first], masters[first], masters[(first + 1) % MASTERS]);
                let slots: Vec<u16> = used.iter().copied().step_by(used.len().div_ceil(SLOTS).max(1)).collect();
                move_slots(fleet, &slots, to, atomic)?;
                (Undo::MoveBack { slots, to: from, atomic }, None)
            }
            Fault::GatewayKilled { gateway } => {
                fleet.gateways[gateway].kill()?;
                fleet.tell_watch()?;
                (Undo::StartGateway(gateway), None)
            }
            Fault::GatewayPaused { gateway } => {
                fleet.gateways[gateway].pause()?;
                (Undo::ResumeGateway(gateway), None)
            }
            Fault::GatewayStopped { gateway } => {
                let status = fleet.gateways[gateway].stop()?;
                fleet.tell_watch()?;
                if !status.success() {
                    bail!("gateway {} did not end well on SIGTERM: {status}", gateway + 1);
                }
                (Undo::StartGateway(gateway), None)
            }
        };
        Ok(Self { fault, undo, master })
    }

    /// Waits until it has had its effect on others.
    pub(crate) fn take_effect(&self, fleet: &Fleet) -> Result<()> {
        let shard = match self.fault {
            Fault::MasterKilled { shard }
            | Fault::MasterDeposed { shard }
            | Fault::HandedOver { shard }
            | Fault::TailLost { shard }
            | Fault::StoodInFor { shard } => shard,
            _ => return Ok(()),
        };
        let deadline = Instant::now() + FAILOVER;
        // A server that loads what a master sends it answers nothing meanwhile.
        while master_of(fleet, shard).map_or(true, |master| Some(master) == self.master) {
            if Instant::now() > deadline {
                bail!("{}: no replica was promoted within {} s", self.fault, FAILOVER.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) fn end(self, fleet: &mut Fleet) -> Result<()> {
        match self.undo {
            Undo::StartServer(server) => fleet.redis.restart(server),
            Undo::StartServerAlone(server) => {
                fleet.redis.end_outside()?;
                fleet.redis.restart(server)
            }
            Undo::ResumeServer(server) => fleet.redis.resume(server),
            // Refused until it has heard that it is a replica.
            Undo::HandBack(server) => fleet.redis.wait_for("the lead is not handed back", || take_over(fleet, server)),
            Undo::MoveBack { slots, to, atomic } => move_slots(fleet, &slots, to, atomic),
            Undo::StartGateway(gateway) => fleet.start_gateway(gateway),
            Undo::ResumeGateway(gateway) => fleet.gateways[gateway].resume(),
        }
    }
}

fn move_slots(fleet: &Fleet, slots: &[u16], to: usize, atomic: bool) -> Result<()> {
    if slots.is_empty() {
        bail!("no slot holds anything");
    }
    if atomic {
        return fleet.redis.move_atomically(slots, to);
    }
    for (nth, &slot) in slots.iter().enumerate() {
        let pause = if nth == 0 { LONG_KEY_PAUSE } else { KEY_PAUSE };
        fleet.redis.begin_move(slot, to)?.finish(1, pause)?;
    }
    // Whoever has not heard of the new master yet would refuse to move the slot back.
    fleet.redis.wait_until_whole()
}

fn take_over(fleet: &Fleet, server: usize) -> Result<()> {
    fleet.redis.ask::<String>(server, &["CLUSTER", "FAILOVER", "TAKEOVER"]).map(drop)
}

fn master_of(fleet: &Fleet, shard: usize) -> Result<usize> {
    Ok(fleet.redis.shards()?.get(shard).context("a shard is missing")?.master)
}
