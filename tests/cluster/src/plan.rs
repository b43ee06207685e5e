//! Which faults a round has, from its seed alone.

use std::time::Duration;

use fastrand::Rng;

use crate::fault::Fault;
use crate::fleet::{GATEWAYS, MASTERS};

/// Faults that begin and end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) faults: Vec<Fault>,
    /// Their time, counted from their effect.
    pub(crate) hold: Duration,
}

/// Plan of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Replicas of each master.
    pub(crate) replicas: usize,
    pub(crate) steps: Vec<Step>,
    /// All gateways are restarted one after the other, and no call of a client may fail.
    pub(crate) rolling: bool,
}

impl Plan {
    /// Replicas of each master in the round of `seed`.
    pub(crate) fn replicas(seed: u64) -> usize {
        if seed.wrapping_sub(1) % 10 >= 7 { 2 } else { 1 }
    }

    /// Tells whether a master crashes and is back before another takes its place: what survives that only `durable` promises, as
    /// Redis answers before it has written where an earlier fsync is not done within a second or two.
    pub(crate) fn needs_durable(&self) -> bool {
        let mut faults = self.steps.iter().flat_map(|step| &step.faults);
        faults.any(|fault| matches!(fault, Fault::MasterRestarted { .. }))
    }

    /// Of ten rounds, two restart all gateways, and three have two replicas per master. Every other one first kills a
    /// gateway, alone, so that it can be measured; what follows walks through all kinds.
    /// Slots move as a whole now and then where the engine can (`atomic`).
    pub(crate) fn of(seed: u64, atomic: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nth = seed.wrapping_sub(1) % 10;
        let (replicas, rolling) = (Self::replicas(seed), nth == 0 || nth == 7);
        let steps = if rolling {
            (0..GATEWAYS).map(|gateway| step(&mut rng, vec![Fault::GatewayStopped { gateway }])).collect()
        } else {
            let gateway = rng.usize(..GATEWAYS);
            let mut steps = vec![step(&mut rng, vec![Fault::GatewayKilled { gateway }])];
            let second = match nth {
                1 => vec![Fault::MasterDeposed { shard: rng.usize(..MASTERS) }],
                2 => vec![Fault::MasterKilled { shard: rng.usize(..MASTERS) }],
                3 => vec![Fault::GatewayPaused { gateway: rng.usize(..GATEWAYS) }],
                4 => vec![Fault::MasterRestarted { shard: rng.usize(..MASTERS) }],
                5 => vec![Fault::ReplicaKilled { shard: rng.usize(..MASTERS) }],
                6 => vec![Fault::TailLost { shard: rng.usize(..MASTERS) }],
                9 => vec![Fault::HandedOver { shard: rng.usize(..MASTERS) }],
                _ => vec![of_store(&mut rng, atomic), of_gateway(&mut rng)],
            };
            steps.push(step(&mut rng, second));
            if let 1 | 2 | 5 = nth {
                let fault = Fault::SlotsMoved { shard: rng.usize(..MASTERS), atomic: atomic && nth == 2 };
                steps.push(step(&mut rng, vec![fault]));
            }
            if nth == 6 {
                let shard = rng.usize(..MASTERS);
                steps.push(step(&mut rng, vec![Fault::StoodInFor { shard }]));
            } else if rng.u8(..4) == 0 {
                let third = if rng.bool() { of_store(&mut rng, atomic) } else { of_gateway(&mut rng) };
                steps.push(step(&mut rng, vec![third]));
            }
            steps
        };
        Self { seed, replicas, steps, rolling }
    }
}

fn of_store(rng: &mut Rng, atomic: bool) -> Fault {
    let shard = rng.usize(..MASTERS);
    match rng.u8(..8) {
        0 => Fault::MasterKilled { shard },
        1 => Fault::MasterRestarted { shard },
        2 => Fault::MasterDeposed { shard },
        3 => Fault::TailLost { shard },
        4 => Fault::HandedOver { shard },
        5 => Fault::SlotsMoved { shard, atomic: rng.bool() && atomic },
        6 => Fault::StoodInFor { shard },
        _ => Fault::ReplicaKilled { shard },
    }
}

fn of_gateway(rng: &mut Rng) -> Fault {
    let gateway = rng.usize(..GATEWAYS);
    match rng.u8(..3) {
        0 => Fault::GatewayKilled { gateway },
        1 => Fault::GatewayPaused { gateway },
        _ => Fault::GatewayStopped { gateway },
    }
}

fn step(rng: &mut Rng, faults: Vec<Fault>) -> Step {
    let (from, to) = match faults[..] {
        // Over before anybody is missed.
        [Fault::MasterRestarted { .. } | Fault::HandedOver { .. } | Fault::SlotsMoved { .. }] => (200, 700),
        [Fault::GatewayPaused { .. }] => (2_000, 4_000),
        [Fault::GatewayStopped { .. }] => (0, 300),
        _ => (800, 1_600),
    };
    Step { faults, hold: Duration::from_millis(rng.u64(from..to)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_move_key_by_key_and_where_the_engine_can_also_as_a_whole() {
        let moves = |atomic, seeds: std::ops::RangeInclusive<u64>| -> Vec<bool> {
            let steps = seeds.flat_map(|seed| Plan::of(seed, atomic).steps);
            let ways = steps.flat_map(|step| step.faults).filter_map(|fault| match fault {
                Fault::SlotsMoved { atomic, .. } => Some(atomic),
                _ => None,
            });
            ways.collect()
        };
        assert!(moves(false, 1..=100).iter().all(|atomic| !atomic));
        // The rounds that the short version has of the newer engines.
        assert_eq!(moves(true, 2..=3), [false, true]);
    }

    #[test]
    fn a_seed_is_one_plan_and_ten_have_every_fault() {
        assert_eq!(Plan::of(7, false), Plan::of(7, false));
        let plans: Vec<Plan> = (1..=10).map(|seed| Plan::of(seed, false)).collect();
        assert_eq!(plans.iter().filter(|plan| plan.rolling).count(), 2);
        assert_eq!(plans.iter().filter(|plan| plan.replicas == 2).count(), 3);
        let faults: Vec<Fault> =
            plans.iter().flat_map(|plan| plan.steps.iter().flat_map(|s| s.faults.clone())).collect();
        let kinds: std::collections::HashSet<_> = faults.iter().map(std::mem::discriminant).collect();
        assert_eq!(kinds.len(), 11);
        assert!(plans.iter().all(|plan| plan.replicas == Plan::replicas(plan.seed)));
        assert!(plans.iter().any(|plan| plan.steps.iter().any(|step| step.faults.len() == 2)));
        let alone = |plan: &&Plan| matches!(plan.steps[0].faults[..], [Fault::GatewayKilled { .. }]);
        assert_eq!(plans.iter().filter(alone).count(), 8);
    }
}
