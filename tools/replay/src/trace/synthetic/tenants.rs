//! Tenants side by side.

use super::items::Walks;
use super::records::{Profiles, Series};
use super::workload::{Step, Workload};
use crate::random::Random;

/// Clients of each tenant.
const CLIENTS: usize = 5;

/// Tenants that share one service and nothing else.
pub(super) struct Tenants {
    tenants: Vec<Box<dyn Workload>>,
}

impl Tenants {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut tenants: Vec<Box<dyn Workload>> = Vec::new();
        for _ in 0..2 {
            tenants.push(Box::new(Profiles::new(CLIENTS)));
            tenants.push(Box::new(Series::new(CLIENTS, random)));
            tenants.push(Box::new(Walks::new(CLIENTS, random)));
        }
        Self { tenants }
    }
}

impl Workload for Tenants {
    fn clients(&self) -> usize {
        self.tenants.len() * CLIENTS
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let (tenant, client) = (client / CLIENTS, client % CLIENTS);
        let step = self.tenants[tenant].step(client, random);
        Step { key: format!("tenant{tenant}/{}", step.key), ..step }
    }
}
