//! Lists, and then gets of what is on them.

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};

use super::simulation::Simulation;
use crate::report::Report;

const LISTS: u32 = 100_000;

/// Measures and prints what the items of 100,000 lists cost.
pub(super) fn print(simulation: &Simulation, report: &mut Report) -> Result<()> {
    let figures = simulation.lists(LISTS)?;
    let mut table = rows::table(["lists", "gets of items", "hits", "requests for items", "keys ahead", "exchanges"]);
    let requests =
        Row::information("tab, lists: requests for items", figures.requests as f64, "requests", Better::Lower);
    table.add_row([
        figures.lists.to_string(),
        figures.gets.to_string(),
        figures.hits.to_string(),
        report.add(requests.requires(0.0), 0),
        figures.ahead.to_string(),
        figures.exchanges.to_string(),
    ]);
    let notes = "One client lists prefixes of 50 keymaps each, and then asks for all 50, 100 ms apart.";
    Report::print("Items of lists", &table, notes);
    Ok(())
}
