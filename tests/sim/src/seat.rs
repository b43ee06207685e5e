//! [`Seat`]: a gateway as a member.

use std::collections::BTreeSet;
use std::sync::Arc;

use foremap::Millis;
use foremap::control::{Control, ControlConfig, CoordinatorConfig, Member, MemberState, PlanJob, StoreChange};
use foremap::load::LoadReport;
use foremap::partition::{Epoch, NodeId, PartitionMap};

use super::nodes::{NODES, origin};
use super::rng::Rng;

/// Life of a registration and of the lease, in milliseconds of the master's clock: a history is too short for the seconds of
/// a real gateway.
pub(crate) const TTL: Millis = 800;
pub(crate) const CONFIG: ControlConfig = ControlConfig {
    is_shared: true,
    plans: true,
    applies: true,
    beat_ms: 150,
    brisk_ms: 60,
    pause_ms: 20,
    ttl_ms: TTL,
    coordinator: CoordinatorConfig { grace_ms: 1_000, warm_ms: 300 },
};

/// A gateway as a member, and as who may lead.
pub(crate) struct Seat {
    pub(crate) control: Control,
    pub(crate) weight: u32,
    /// When it is called next.
    pub(crate) wake: Millis,
    /// Content hashes of the maps that it has really warmed up for.
    pub(crate) warmed: BTreeSet<u64>,
    /// Members that it saw registered last.
    pub(crate) members: Vec<Member>,
}

impl Seat {
    pub(crate) fn new(id: NodeId, incarnation: u32, map: &Arc<PartitionMap>, rng: &mut Rng) -> Self {
        let weight = rng.range(0, 2) as u32;
        let member = Member {
            id,
            incarnation: u64::from(incarnation) * u64::from(NODES) + u64::from(id),
            origin: origin(id),
            weight,
            state: MemberState::Serving,
            warm_for: 0,
        };
        let control = Control::new(CONFIG, vec![member], map.clone());
        Self { control, weight, wake: Millis::MAX, warmed: BTreeSet::new(), members: Vec::new() }
    }
}

/// A command of control that waits for the store.
pub(crate) enum Pending {
    Beat { newest: Option<Epoch> },
    Record,
    Store { change: StoreChange, term: u64, faults: Faults, is_flipped: bool },
}

/// Reasons for which a change must not take effect.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) stale: bool,
    pub(crate) frozen: bool,
    pub(crate) cold: bool,
}

/// Something that control waits for and the store has nothing to do with.
pub(crate) enum Job {
    Warm { hash: u64, is_real: bool },
    Loads { reports: Vec<Option<LoadReport>> },
    Plan(Box<PlanJob>),
}
