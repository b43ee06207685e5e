//! Records of users, and time series.

use super::calendar::civil;
use super::workload::{Step, Workload};
use crate::random::{Random, opaque};

/// Parts that are read of a user, in this order.
const PARTS: [&str; 5] = ["profile", "avatar", "settings", "friends", "feed"];
/// Users that a client may come back to.
const REMEMBERED: usize = 50;
/// 2026-01-01 in minutes since 1970.
const START: u64 = 29_453_760;

/// Users opened by clients, part by part.
pub(super) struct Profiles {
    clients: Vec<Visit>,
    users: u64,
}

#[derive(Clone, Default)]
struct Visit {
    user: u64,
    part: usize,
    seen: Vec<u64>,
}

impl Profiles {
    pub(super) fn new(clients: usize) -> Self {
        Self { clients: vec![Visit { part: PARTS.len(), ..Visit::default() }; clients], users: 0 }
    }
}

impl Workload for Profiles {
    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let visit = &mut self.clients[client];
        // One in twenty leaves early.
        if visit.part == PARTS.len() || random.percent(5) {
            visit.part = 0;
            if visit.seen.is_empty() || random.percent(70) {
                self.users += 1;
                visit.user = self.users;
                if visit.seen.len() == REMEMBERED {
                    visit.seen.remove(0);
                }
                visit.seen.push(visit.user);
            } else {
                visit.user = visit.seen[random.index(visit.seen.len())];
            }
        }
        let step =
            Step { key: format!("user/{}/{}", opaque(visit.user), PARTS[visit.part]), foreseeable: visit.part > 0 };
        visit.part += 1;
        step
    }
}

/// One sensor or metric per client, read on and on.
pub(super) struct Series {
    clients: Vec<Reading>,
}

struct Reading {
    minute: u64,
    jumped: bool,
}

impl Series {
    pub(super) fn new(clients: usize, random: &mut Random) -> Self {
        let clients = (0..clients).map(|_| Reading { minute: Self::any_minute(random), jumped: true });
        Self { clients: clients.collect() }
    }

    /// A full hour within two years.
    fn any_minute(random: &mut Random) -> u64 {
        START + random.below(2 * 365 * 24) * 60
    }
}

impl Workload for Series {
    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let reading = &mut self.clients[client];
        if random.percent(2) {
            *reading = Reading { minute: Self::any_minute(random), jumped: true };
        }
        let (year, month, day, minute) = civil(reading.minute);
        let (hour, minute) = (minute / 60, minute % 60);
        // Half of them have the date in one component, the others one component for each unit.
        let (key, step) = if client.is_multiple_of(2) {
            (format!("sensor/s{client:03}/{year}-{month:02}-{day:02}T{hour:02}:{minute:02}"), 5)
        } else {
            (format!("metric/m{client:03}/{year}/{month:02}/{day:02}/{hour:02}"), 60)
        };
        reading.minute += step;
        Step { key, foreseeable: !std::mem::replace(&mut reading.jumped, false) }
    }
}
