//! Numbered things: items and map tiles.

use super::workload::{Step, Workload};
use crate::random::Random;

/// Items of a category.
const ITEMS: i64 = 1_000_000;
/// Zoom level of the map, and tiles along one side of it.
const ZOOM: u32 = 14;
const SIDE: i64 = 1 << ZOOM;
/// Tiles across the direction of movement.
const ROW: i64 = 3;

/// Clients that walk through numbered items, each with its own stride.
pub(super) struct Walks {
    clients: Vec<Walk>,
}

struct Walk {
    stride: i64,
    category: u64,
    item: i64,
    steps: usize,
}

impl Walks {
    pub(super) fn new(clients: usize, random: &mut Random) -> Self {
        let stride = |random: &mut Random| [1, 1, 1, 2, 10, -1][random.index(6)];
        let walk = |_| Walk { stride: stride(random), category: 0, item: 0, steps: 0 };
        Self { clients: (0..clients).map(walk).collect() }
    }
}

impl Workload for Walks {
    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let walk = &mut self.clients[client];
        // A walk has 20 steps in the mean.
        if walk.steps == 0 || random.percent(5) {
            (walk.category, walk.item, walk.steps) = (random.below(8), random.below(ITEMS as u64) as i64, 0);
        } else {
            walk.item = (walk.item + walk.stride).rem_euclid(ITEMS);
        }
        walk.steps += 1;
        // Another stride than the usual one shows with the second item.
        let shown = if walk.stride == 1 { 1 } else { 2 };
        Step { key: format!("catalog/c{}/{:06}", walk.category, walk.item), foreseeable: walk.steps > shown }
    }
}

/// Clients that pan over a map, row by row of tiles.
pub(super) struct Tiles {
    clients: Vec<View>,
}

struct View {
    x: i64,
    y: i64,
    direction: (i64, i64),
    /// Next tile of the row.
    tile: i64,
    turned: bool,
}

impl Tiles {
    pub(super) fn new(clients: usize, random: &mut Random) -> Self {
        Self { clients: (0..clients).map(|_| View::any(random)).collect() }
    }
}

impl View {
    fn any(random: &mut Random) -> Self {
        let mut place = || random.below(SIDE as u64) as i64;
        let (x, y) = (place(), place());
        Self { x, y, direction: Self::any_direction(random), tile: 0, turned: true }
    }

    fn any_direction(random: &mut Random) -> (i64, i64) {
        [(1, 0), (-1, 0), (0, 1), (0, -1)][random.index(4)]
    }

    fn next_row(&mut self, random: &mut Random) {
        self.tile = 0;
        self.turned = false;
        if random.percent(3) {
            *self = Self::any(random);
        } else if random.percent(10) {
            self.direction = Self::any_direction(random);
            self.turned = true;
        }
        self.x = (self.x + self.direction.0).rem_euclid(SIDE);
        self.y = (self.y + self.direction.1).rem_euclid(SIDE);
    }
}

impl Workload for Tiles {
    fn clients(&self) -> usize {
        self.clients.len()
    }

    fn step(&mut self, client: usize, random: &mut Random) -> Step {
        let view = &mut self.clients[client];
        if view.tile == ROW {
            view.next_row(random);
        }
        let across = (view.direction.1.abs() * view.tile, view.direction.0.abs() * view.tile);
        let (x, y) = ((view.x + across.0).rem_euclid(SIDE), (view.y + across.1).rem_euclid(SIDE));
        let step = Step { key: format!("tiles/{ZOOM}/{x}/{y}"), foreseeable: view.tile > 0 || !view.turned };
        view.tile += 1;
        step
    }
}
