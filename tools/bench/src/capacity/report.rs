//! Text that the terminal shows.

use super::coefficients::{Coefficients, Costs};
use super::model::Plan;
use super::words::{bytes, count, share, verdict};
use super::workload::Workload;

/// Demands of a workload, in the order of the options.
pub(super) fn asked(w: &Workload) -> Vec<(&'static str, String)> {
    vec![
        ("keys", count(w.keys)),
        ("bytes of a key, of the rest of its keymap", format!("{}, {}", count(w.key_bytes), count(w.value_bytes))),
        ("requests a second that reach the gateways", count(w.requests)),
        ("of which writes", format!("{}, {} a second", share(w.write_share), count(w.writes()))),
        ("keys of a read", count(w.batch)),
        ("keys answered from gateway memory, which holds", format!("{}, {}", share(w.hit_share), share(w.held_share))),
        ("clients with a change feed", count(w.clients)),
        ("share of the writes that concerns one", share(w.interest)),
        ("replicas of a master, versions of a key", format!("{}, {}", count(w.replicas), count(w.versions))),
        ("rules, exceptions of the map", format!("{}, {}", count(w.rules), count(w.exceptions))),
        ("a gateway's machine", format!("{} cores, {}", count(w.gateway_cores), bytes(w.gateway_memory))),
        ("a master's machine", format!("1 core used, {}", bytes(w.master_memory))),
        ("of which at most in use", format!("{} of cores, {} of memory", share(w.busy), share(w.full))),
    ]
}

/// Machines that it takes, and what they do.
pub(super) fn taken(w: &Workload, plan: &Plan) -> Vec<(&'static str, String)> {
    vec![
        ("gateways", count(plan.gateways)),
        ("decided by", plan.gateways_by.words().to_owned()),
        ("busy cores of a gateway", format!("{} of {}", count(plan.gateway_busy), count(w.gateway_cores))),
        ("keymaps in the memory of a gateway", bytes(plan.gateway_bytes)),
        ("masters", count(plan.masters)),
        ("decided by", plan.masters_by.words().to_owned()),
        ("busy share of the fullest master's core", share(plan.master_busy)),
        ("memory of the fullest master", bytes(plan.master_bytes)),
        ("Redis servers, replicas included", count(plan.servers)),
        ("log entries followed a second, by all gateways", count(plan.log_entries)),
        ("cores that takes", count(plan.log_cores)),
        ("cores that polling takes at rest", count(plan.idle_cores)),
        ("partition map", bytes(plan.map_bytes)),
        ("change-feed events a second", count(plan.events)),
        ("bytes of them a second", bytes(plan.event_bytes)),
        ("most writes a second below one first component", count(plan.component_writes)),
    ]
}

/// Table and verdict.
pub(super) fn text(workload: &Workload, costs: &Costs, source: &Coefficients) -> String {
    let mut table = xtask::table(["asked", ""]);
    for (name, value) in asked(workload) {
        table.add_row([name, &value]);
    }
    if let Ok(plan) = Plan::of(workload, costs) {
        table.add_row(["**taken**", ""]);
        for (name, value) in taken(workload, &plan) {
            table.add_row([name, &value]);
        }
    }
    let Coefficients { date, machine, command, .. } = source;
    format!(
        "{table}\n\n{}\n\nCosts as measured on {date} on {machine}: `{command}`. The formulas, and where this design ends, are \
         in www/capacity.html.\n",
        verdict(workload, costs).join("\n")
    )
}
