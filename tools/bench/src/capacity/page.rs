//! The page `www/capacity.html`: the same figures as in the terminal, for 10^6 to 10^9 keys.

use anyhow::Result;
use askama::Template;

use super::coefficients::{Coefficients, Costs};
use super::model::{FAN, Plan, SHARDS, Wall, furthest};
use super::options::Capacity;
use super::report::{asked, taken};
use super::words::count;
use super::workload::Workload;

/// Sizes beside each other.
const KEYS: [f64; 4] = [1e6, 1e7, 1e8, 1e9];

#[derive(Template)]
#[template(path = "capacity.html")]
struct Page<'a> {
    keys: [String; KEYS.len()],
    /// Demands that differ between the sizes.
    asked: Vec<Line>,
    taken: Vec<Line>,
    /// Demands that all sizes have in common.
    same: String,
    /// The first size that does not fit, and why.
    beyond: Option<(String, String)>,
    /// Factor by which ten million keys can grow, what then stops them, and what would come next.
    growth: Option<(String, String, &'static str)>,
    source: &'a Coefficients,
    shards: f64,
    fan: f64,
}

/// A row: a figure of each size.
struct Line {
    name: &'static str,
    cells: [String; KEYS.len()],
}

/// The page. `workload` gives what does not grow with the keys.
pub(super) fn html(workload: &Workload, costs: &Costs, source: &Coefficients) -> Result<String> {
    let workloads = KEYS.map(|keys| Workload {
        keys,
        requests: keys * Capacity::REQUESTS_PER_KEY,
        clients: keys * Capacity::CLIENTS_PER_KEY,
        ..workload.clone()
    });
    let (asked, same): (Vec<_>, Vec<_>) = lines(workloads.each_ref().map(|w| asked(w).split_off(1)))
        .into_iter()
        .partition(|line| line.cells.windows(2).any(|pair| pair[0] != pair[1]));
    let same: Vec<String> = same.iter().map(|line| format!("{}: {}", line.name, line.cells[0])).collect();
    let plans = workloads.each_ref().map(|w| Plan::of(w, costs));
    let beyond = plans.iter().zip(KEYS).find_map(|(plan, keys)| Some((count(keys), plan.err()?.words())));
    let page = Page {
        keys: KEYS.map(count),
        asked,
        taken: all_taken(&workloads, &plans, costs),
        same: same.join("; "),
        beyond,
        growth: furthest(&workloads[1], costs).map(|(factor, wall)| (count(factor), wall.words(), wall.next())),
        source,
        shards: SHARDS,
        fan: FAN,
    };
    Ok(page.render()? + "\n")
}

/// Lines that tell what each size takes, and by how much it can grow.
fn all_taken(workloads: &[Workload; KEYS.len()], plans: &[Result<Plan, Wall>; KEYS.len()], costs: &Costs) -> Vec<Line> {
    let columns: [_; KEYS.len()] =
        std::array::from_fn(|at| plans[at].as_ref().ok().map(|plan| taken(&workloads[at], plan)));
    let names = columns.iter().flatten().next().cloned().unwrap_or_default();
    let beyond = || names.iter().map(|(name, _)| (*name, "does not fit".to_owned())).collect();
    let mut taken = lines(columns.clone().map(|column| column.unwrap_or_else(beyond)));
    let growth =
        |w: &Workload| furthest(w, costs).map_or_else(String::new, |(factor, _)| format!("{} ×", count(factor)));
    taken.push(Line {
        name: "fits up to, times as much of keys, requests and clients together",
        cells: workloads.each_ref().map(growth),
    });
    taken
}

/// Columns of the same names as rows.
fn lines(columns: [Vec<(&'static str, String)>; KEYS.len()]) -> Vec<Line> {
    let names: Vec<&'static str> = columns[0].iter().map(|(name, _)| *name).collect();
    let cells = |at: usize| columns.each_ref().map(|column| column[at].1.clone());
    names.into_iter().enumerate().map(|(at, name)| Line { name, cells: cells(at) }).collect()
}
