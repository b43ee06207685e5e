//! Playing an act: even load, one tenant turns hot, the shifter is let go.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use super::act::{Act, BOUND, KEYS, Part};
use super::clients::{Clients, Outcomes};
use super::demand::Demand;
use super::fleet::Fleet;
use super::gauge::{Gauge, Load};
use super::report;
use crate::load;
use crate::progress::progress;

/// Longest time that spreading may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys asked for before that, so that what is measured is what stays.
const SETTLE_KEYS: u64 = 8_000;

/// Plays it.
///
/// # Errors
/// If load is not spread in time, any request failed, or a process ended.
pub(super) fn play(title: &'static str, fleet: &mut Fleet) -> Result<Act> {
    fleet.freeze(true)?;
    let demand = Demand::new()?;
    write(fleet, &demand)?;
    let clients = Clients::start(&fleet.origins[0], demand)?;
    let acted = act(title, fleet, &clients);
    let outcomes = clients.end();
    if outcomes.failed > 0 {
        let (failed, requests) = (outcomes.failed, outcomes.requests);
        let what = format!(
            "{title}: {failed} of {requests} requests failed, among them:\n  {}",
            outcomes.failures.join("\n  ")
        );
        // Why requests failed may be why something else did.
        return Err(match acted {
            Ok(_) => anyhow!(what),
            Err(error) => error.context(what),
        });
    }
    Ok(Act { outcomes, ..acted? })
}

fn write(fleet: &Fleet, demand: &Demand) -> Result<()> {
    let keys: Vec<String> = demand.keys().iter().map(|key| key.as_str().to_owned()).collect();
    let bar = progress("loading keymaps", keys.len());
    let loaded = load::load(&fleet.origins, &keys, &bar);
    bar.finish_and_clear();
    loaded?;
    println!("demo: loaded {} keymaps into the store", keys.len());
    Ok(())
}

fn act(title: &'static str, fleet: &mut Fleet, clients: &Clients) -> Result<Act> {
    let even = part("even: no tenant is hot, the shifter frozen", fleet, clients)?;
    clients.turn_hot();
    println!("\ndemo: from now on, half of all keys asked for are one tenant's, and a tenth are one key");
    let before = part("before: one tenant hot, the shifter frozen", fleet, clients)?;
    let epoch = clients.epoch().number;
    let (during, seconds, plan) = spread(fleet, clients)?;
    // The coordinator hears of its map up to a round later than clients do.
    report::plan(&plan.map_or_else(|| fleet.wait_for_plan(), Ok)?);
    let after = part("after: the same load", fleet, clients)?;
    let maps = clients.epoch().number.saturating_sub(epoch);
    ensure!(maps > 0, "load was spread without a new map");
    Ok(Act { title, even, before, during, after, seconds, maps, outcomes: Outcomes::default() })
}

/// Measures one part once it has settled, and prints it.
fn part(title: &'static str, fleet: &mut Fleet, clients: &Clients) -> Result<Part> {
    let mut gauge = Gauge::new(title);
    gauge.measure(fleet, SETTLE_KEYS)?;
    drop(clients.latencies());
    let load = gauge.measure(fleet, KEYS)?;
    let part = Part { title, load, latencies: clients.latencies() };
    drop(gauge);
    report::part(&part);
    Ok(part)
}

/// Lets go of the shifter and waits until load is spread; returns what was measured meanwhile, how long it took, and what
/// the coordinator told of its first plan, if it did so by then.
fn spread(fleet: &mut Fleet, clients: &Clients) -> Result<(Part, f64, Option<String>)> {
    let title = "during: the shifter is at work";
    let mut gauge = Gauge::new(title);
    let first = clients.epoch();
    let mut epoch = first;
    let mut told = None;
    let start = Instant::now();
    fleet.freeze(false)?;
    gauge.note("\ndemo: the shifter is let go");
    loop {
        gauge.look(fleet)?;
        let seconds = start.elapsed().as_secs_f64();
        let load = gauge.newest(KEYS);
        let worst = load.as_ref().map_or(f64::INFINITY, Load::worst);
        if load.is_some() && clients.epoch() != epoch {
            epoch = clients.epoch();
            gauge.note(&format!("demo: {seconds:5.1} s  map {epoch}, heaviest node {worst:.2} of the mean"));
        }
        if told.is_none() && epoch != first {
            told = fleet.plan()?;
        }
        if let Some(load) = load.filter(|_| worst < BOUND) {
            gauge.note(&format!("demo: {seconds:5.1} s  heaviest node {worst:.2} of the mean"));
            return Ok((Part { title, load, latencies: clients.latencies() }, seconds, told));
        }
        if start.elapsed() > PATIENCE {
            bail!("the heaviest node stays at {worst:.2} of the mean for {} s after unfreezing", PATIENCE.as_secs());
        }
    }
}
