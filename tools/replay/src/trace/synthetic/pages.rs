//! Pages whose names tell nothing.

use super::workload::{Step, Workload};
use crate::random::{Random, opaque};

/// Pages of the popular set, and of the uniform one.
const POPULAR: usize = 2_000;
const UNIFORM: u64 = 5_000;
/// Pages with links.
const LINKED: usize = 2_000;

fn page(number: u64) -> String {
    format!("page/{}", opaque(number))
}

/// Nine clients read popular pages, three scan archives that nobody reads twice.
pub(super) struct Scan {
    scanned: [u64; 3],
}

impl Scan {
    pub(super) fn new() -> Self {
        Self { scanned: [0; 3] }
    }
}

impl Workload for Scan {
    fn clients(&self) -> usize {
        9 + self.scanned.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let Some(scanned) = self.scanned.get_mut(client) else {
            return Step { key: page(random.popular(POPULAR) as u64), foreseeable: false };
        };
        *scanned += 1;
        Step { key: format!("archive/a{client}/part-{:07}", *scanned), foreseeable: *scanned > 1 }
    }
}

/// Clients follow links, one from each page; in the second half of the run they are other links.
pub(super) struct Phase {
    /// For each of the two phases: where the link of a page leads, and whether anybody followed it in that phase.
    links: [Vec<(u32, bool)>; 2],
    at: Vec<Option<usize>>,
    left_in_first: usize,
}

impl Phase {
    /// `first` requests belong to the first phase.
    pub(super) fn new(clients: usize, first: usize, random: &mut Random) -> Self {
        Self { links: [links(random), links(random)], at: vec![None; clients], left_in_first: first }
    }
}

/// One cycle through all pages (Sattolo, 1986), so that no link leads to its own page.
fn links(random: &mut Random) -> Vec<(u32, bool)> {
    let mut links: Vec<(u32, bool)> = (0..LINKED as u32).map(|page| (page, false)).collect();
    for last in (1..links.len()).rev() {
        links.swap(last, random.index(last));
    }
    links
}

impl Workload for Phase {
    fn clients(&self) -> usize {
        self.at.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let links = &mut self.links[usize::from(self.left_in_first == 0)];
        self.left_in_first = self.left_in_first.saturating_sub(1);
        let follows = !random.percent(10);
        let (next, foreseeable) = match self.at[client].filter(|_| follows) {
            Some(here) => {
                let (next, shown) = links[here];
                links[here].1 = true;
                (next as usize, shown)
            }
            None => (random.index(LINKED), false),
        };
        self.at[client] = Some(next);
        Step { key: page(next as u64), foreseeable }
    }
}

/// Nothing to learn.
pub(super) struct Noise;

impl Workload for Noise {
    fn clients(&self) -> usize {
        10
    }

    fn step(&mut self, _: usize, random: &mut Random) -> Step {
        Step { key: page(random.below(UNIFORM)), foreseeable: false }
    }
}
