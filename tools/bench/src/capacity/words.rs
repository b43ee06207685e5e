//! Figures and limits in words, the same for terminal and page.

use super::coefficients::Costs;
use super::model::{Limit, MOST_NODES, Plan, SHARDS, Wall, furthest};
use super::workload::Workload;

/// With three significant digits, thousands apart.
pub(super) fn count(value: f64) -> String {
    if 0.0 < value && value < 0.001 {
        return "< 0.001".to_owned();
    }
    if value < 100.0 && value.fract() != 0.0 {
        let digits = if value < 1.0 {
            3
        } else if value < 10.0 {
            2
        } else {
            1
        };
        return format!("{value:.digits$}");
    }
    let step = if value < 1e4 { 1.0 } else { 10_f64.powf(value.log10().floor() - 2.0) };
    let digits = format!("{:.0}", (value / step).round() * step);
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// In the largest unit that leaves a whole one.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut at = 0;
    while value >= 1_024.0 && at + 1 < UNITS.len() {
        value /= 1_024.0;
        at += 1;
    }
    format!("{} {}", count(value), UNITS[at])
}

/// Of one: in percent.
pub(super) fn share(value: f64) -> String {
    format!("{} %", count(value * 100.0))
}

impl Limit {
    /// Words for what decides.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Processor => "processor time",
            Self::Memory => "memory",
            Self::Feeds => "change feeds",
            Self::Least => "as few as there can be",
        }
    }
}

impl Wall {
    /// Why more machines no longer help.
    pub(super) fn words(self) -> String {
        match self {
            Self::Tailing => "every gateway follows the change logs of all shards, and at so many writes that alone \
                              takes all a gateway may use: more gateways do not help"
                .to_owned(),
            Self::Shards => {
                format!("each of the {SHARDS} storage shards has a master of its own, and a shard is not divided")
            }
            Self::Polling => {
                "what all gateways together read of the change logs takes most of what the masters may use: \
                              more gateways do not help"
                    .to_owned()
            }
            Self::Nodes => format!("a partition map names at most {} nodes", count(MOST_NODES)),
        }
    }

    /// Change that would move it.
    pub(super) fn next(self) -> &'static str {
        match self {
            Self::Tailing => {
                "gateways that follow only the shards they hold in memory, and ask their owners about the \
                              rest"
            }
            Self::Shards => "more shards (their number is fixed when a namespace is created), or several namespaces",
            Self::Polling => "one follower of each log for many gateways, which hands changes on",
            Self::Nodes => "several namespaces, or a map in parts",
        }
    }
}

/// The plan of `workload` in plain sentences.
pub(super) fn verdict(workload: &Workload, costs: &Costs) -> Vec<String> {
    let mut lines = match Plan::of(workload, costs) {
        Ok(plan) => fits(workload, costs, &plan),
        Err(wall) => vec![format!("It does not fit, whatever the number of machines: {}.", wall.words())],
    };
    lines.push(match furthest(workload, costs) {
        Some((factor, wall)) if factor >= 1.0 => format!(
            "Keys, requests and clients together can grow {} times. Then {}. What would come next: {}.",
            count(factor),
            wall.words(),
            wall.next()
        ),
        Some((factor, wall)) => {
            let part = share(factor);
            format!(
                "With {part} of the keys, requests and clients it would fit. What would come next: {}.",
                wall.next()
            )
        }
        None => "Nothing in the model stops its growth.".to_owned(),
    });
    lines
}

fn fits(workload: &Workload, costs: &Costs, plan: &Plan) -> Vec<String> {
    let follow = workload.writes() * costs.tail_us / 1e6 / plan.gateway_busy;
    vec![
        format!(
            "It takes {} gateways ({}) and {} masters ({}), {} Redis servers in all.",
            count(plan.gateways),
            plan.gateways_by.words(),
            count(plan.masters),
            plan.masters_by.words(),
            count(plan.servers),
        ),
        format!(
            "Following the logs is {} of what a gateway does. Below one first component at most {} writes a second find room.",
            share(follow),
            count(plan.component_writes),
        ),
    ]
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
