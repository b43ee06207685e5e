//! Tables and files about the acts.

use foremap_bench::rows::{Better, Row, figure, table};

use super::act::{Act, BOUND, KEYS, Part};
use super::fleet::LAST_PLAN;
use super::gauge::bar;

/// Beginnings, in the text of a coordinator, of what comes after the last plan in force.
const NEXT_PLANS: [&str; 2] = ["\non its way: ", "\nnow: "];
/// Lines of a plan that are shown.
const PLAN_LINES: usize = 12;

/// Prints the load of each node.
pub(super) fn part(part: &Part) {
    let Part { title, load, .. } = part;
    println!("\ndemo: {title} ({} keys in {:.1} s)", load.sum(), load.seconds);
    for (number, (share, keys)) in (1..).zip(load.shares().zip(&load.keys)) {
        println!("  node {number} {:>6} keys {share:5.2} of the mean {}", keys, bar(share));
    }
    println!("  heaviest node: {:.2} of the mean", load.worst());
}

/// Prints the beginning of what a coordinator tells of its last plan.
pub(super) fn plan(text: &str) {
    let plan = last_plan(text);
    let lines: Vec<&str> = plan.lines().collect();
    println!("\ndemo: the first plan in force, as `GET /v1/plan` tells it to people:");
    lines.iter().take(PLAN_LINES).for_each(|line| println!("  {line}"));
    if lines.len() > PLAN_LINES {
        println!("  ... and {} more lines", lines.len() - PLAN_LINES);
    }
}

/// The part of the text that is about the last plan in force; nothing where there is none.
fn last_plan(text: &str) -> &str {
    let Some((_, plan)) = text.split_once(LAST_PLAN) else { return "" };
    let ends = NEXT_PLANS.iter().filter_map(|next| plan.find(next));
    &plan[..ends.min().unwrap_or(plan.len())]
}

/// One figure of an act.
struct Measure {
    name: &'static str,
    unit: &'static str,
    target: Option<f64>,
    better: Better,
    value: fn(&Act) -> f64,
}

const MEASURES: [Measure; 17] = {
    const fn measure(name: &'static str, unit: &'static str, value: fn(&Act) -> f64) -> Measure {
        Measure { name, unit, target: None, better: Better::Lower, value }
    }
    const MEAN: &str = "of the mean";
    [
        measure("heaviest node, even", MEAN, |act| act.even.load.worst()),
        measure("heaviest node, before", MEAN, |act| act.before.load.worst()),
        Measure { target: Some(BOUND), ..measure("heaviest node, after", MEAN, |act| act.after.load.worst()) },
        measure("from unfreezing until spread", "s", |act| act.seconds),
        measure("new maps", "maps", |act| act.maps as f64),
        measure("p50 latency, even", "ms", |act| act.even.latencies.percentile_ms(50)),
        measure("p50 latency, before", "ms", |act| act.before.latencies.percentile_ms(50)),
        measure("p50 latency, during", "ms", |act| act.during.latencies.percentile_ms(50)),
        measure("p50 latency, after", "ms", |act| act.after.latencies.percentile_ms(50)),
        measure("p99 latency, even", "ms", |act| act.even.latencies.percentile_ms(99)),
        measure("p99 latency, before", "ms", |act| act.before.latencies.percentile_ms(99)),
        measure("p99 latency, during", "ms", |act| act.during.latencies.percentile_ms(99)),
        measure("p99 latency, after", "ms", |act| act.after.latencies.percentile_ms(99)),
        Measure {
            better: Better::Higher,
            ..measure("rate, after", "keys/s", |act| act.after.load.sum() as f64 / act.after.load.seconds)
        },
        measure("requests sent", "requests", |act| act.outcomes.requests as f64),
        measure("keys asked for in them", "keys", |act| act.outcomes.keys as f64),
        Measure { target: Some(0.0), ..measure("requests failed", "requests", |act| act.outcomes.failed as f64) },
    ]
};

/// Every figure of every act.
pub(super) fn rows(acts: &[Act]) -> Vec<Row> {
    let row = |measure: &Measure, act: &Act| {
        let name = format!("{}, {}", measure.name, act.title);
        Row::information(name, (measure.value)(act), measure.unit, measure.better).bounded(measure.target, None)
    };
    MEASURES.iter().flat_map(|measure| acts.iter().map(move |act| row(measure, act))).collect()
}

/// Prints the table of the acts, and what it was measured with.
pub(super) fn print(acts: &[Act]) {
    let mut sums = table(std::iter::once("").chain(acts.iter().map(|act| act.title)));
    for measure in &MEASURES {
        let figures = acts.iter().map(|act| figure((measure.value)(act)));
        sums.add_row(std::iter::once(format!("{} ({})", measure.name, measure.unit)).chain(figures));
    }
    println!("\n{sums}\n");
    println!(
        "Load is what nodes count themselves (foremap_keys_total in /metrics), over at least {KEYS} keys; load is spread once the\n\
         heaviest node is below {BOUND} of the mean over as many. Latency is that of one request of some keys, measured at the\n\
         clients. Everything runs on this machine, the gateways as a development build. Every answer was held against what\n\
         was written; no read was tried again."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_text_only_the_last_plan_is_shown() {
        let text = "shifter auto, map 1.3\n  node 1: 7\nlast: plan for map 1.2\n  a\nnow: plan for map 1.3\n  b\n";
        assert_eq!(last_plan(text), "plan for map 1.2\n  a");
        assert_eq!(last_plan(&text.replace("now", "on its way")), "plan for map 1.2\n  a");
        assert_eq!(last_plan("shifter auto\nnow: plan\n"), "");
    }
}
