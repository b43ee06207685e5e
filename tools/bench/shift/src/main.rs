//! `foremap-shift SCENARIO NODES PARTITIONS [OPTION=VALUE]...`: prints the figures as one JSON object, `trail` as text.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

use std::error::Error;

use foremap_shift::fleet::Settings;
use foremap_shift::scenarios;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, nodes, partitions, options @ ..] = arguments.as_slice() else {
        return Err(
            "usage: foremap-shift drift|moves|clock|clock-blind|together|planning|trail|trace NODES PARTITIONS \
            [count=N] [seed=N] [rate=N] [file=PATH] [entries=SHARE] ..."
                .into(),
        );
    };
    let mut settings = Settings::new(nodes.parse()?, partitions.parse()?);
    let (mut count, mut seed, mut file) = (20, 1, String::new());
    let keys = foremap_shift::workload::PREFIXES * foremap_shift::workload::OBJECTS;
    settings.plan.entries = Some(keys as u64);
    for option in options {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("`{option}` is not NAME=VALUE"))?;
        match name {
            "count" => count = value.parse()?,
            "seed" => seed = value.parse()?,
            "rate" => settings.rate = value.parse()?,
            "file" => value.clone_into(&mut file),
            "usually" => settings.plan.entries_usually = value.parse()?,
            "most" => settings.plan.entries_at_most = value.parse()?,
            "split" => settings.plan.split_from = value.parse()?,
            "piece" => settings.plan.piece = value.parse()?,
            "hot" => settings.plan.replicate_from = value.parse()?,
            "replica" => settings.plan.replica = value.parse()?,
            "from" => settings.plan.relieve_from = value.parse()?,
            "to" => settings.plan.relieve_to = value.parse()?,
            "urgent" => settings.plan.urgent = value.parse()?,
            "merge" => settings.plan.merge_below = value.parse()?,
            "order" => settings.plan.entries_for_order = value.parse()?,
            _ => return Err(format!("`{name}` is no option").into()),
        }
    }
    settings.seed = seed;
    let json = match scenario.as_str() {
        "drift" => serde_json::to_string(&scenarios::drift(settings, count, seed))?,
        "moves" => {
            settings.plan = scenarios::moves_only(settings.plan);
            serde_json::to_string(&scenarios::drift(settings, count, seed))?
        }
        "clock" => serde_json::to_string(&scenarios::clock(settings, count, true, seed))?,
        "clock-blind" => serde_json::to_string(&scenarios::clock(settings, count, false, seed))?,
        "together" => serde_json::to_string(&scenarios::together(settings, count as u64, seed))?,
        "planning" => serde_json::to_string(&scenarios::planning(settings, seed))?,
        "trail" => scenarios::trail(settings, count as u64, seed).join("\n"),
        "trace" => {
            let trace = foremap_replay::trace::open(&file).map_err(|error| format!("{error:#}"))?;
            settings.plan.entries = None;
            serde_json::to_string(&scenarios::trace(&settings, &trace, count as u64))?
        }
        _ => return Err(format!("`{scenario}` is no scenario").into()),
    };
    println!("{json}");
    Ok(())
}
