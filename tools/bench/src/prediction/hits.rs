//! Hit ratios: the engine beside its peers, in the same pass.

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};

use super::reference::{ALL, Reference};
use super::replay::{Outcome, PEERS, Played, Replay};
use super::sources::Source;
use crate::report::{Report, mean, optional};

/// One way to replay all traces.
struct Question {
    title: &'static str,
    arguments: &'static str,
    budget: f64,
    /// Required and aimed at on a trace of the reference.
    known: fn(&Reference) -> (Option<f64>, Option<f64>),
    /// On any other trace, required is the best peer of the same pass less so many points.
    slack: Option<f64>,
    /// Required and aimed at in the mean over all traces of the reference that `known` has figures for.
    mean: (Option<f64>, Option<f64>),
    /// True if clients have caches of their own: then traces of one client are left out.
    private: bool,
}

const fn pair((required, aim): (f64, f64)) -> (Option<f64>, Option<f64>) {
    (Some(required), Some(aim))
}

const QUESTIONS: [Question; 5] = [
    Question {
        title: "Cache of 5 % of the keys, waste budget 0.25",
        arguments: "--cache 5% --waste-budget 0.25",
        budget: 0.25,
        known: |reference| (Some(reference.peer - 0.3), Some(reference.aim)),
        slack: Some(0.3),
        mean: (Some(69.0), Some(72.0)),
        private: false,
    },
    Question {
        title: "Cache of 5 % of the keys, waste budget 0.10",
        arguments: "--cache 5% --waste-budget 0.10",
        budget: 0.10,
        known: |reference| (None, Some(reference.aim_strict)),
        slack: None,
        mean: (Some(68.0), Some(68.9)),
        private: false,
    },
    Question {
        title: "Cache of 1 % of the keys, waste budget 0.25",
        arguments: "--cache 1% --waste-budget 0.25",
        budget: 0.25,
        known: |reference| (Some(reference.peer_small - 2.0), Some(reference.aim_small)),
        slack: Some(2.0),
        mean: (Some(52.3), Some(60.4)),
        private: false,
    },
    Question {
        title: "Private caches of 32 keys, waste budget 0.25",
        arguments: "--private 32 --waste-budget 0.25",
        budget: 0.25,
        known: |reference| reference.private.map_or((None, None), pair),
        slack: Some(0.0),
        mean: (Some(52.5), Some(56.5)),
        private: true,
    },
    Question {
        title: "Prefetches usable after 8 more requests, cache of 5 %, waste budget 0.25",
        arguments: "--cache 5% --waste-budget 0.25 --latency-requests 8",
        budget: 0.25,
        known: |reference| reference.delayed.map_or((None, None), pair),
        slack: None,
        mean: (None, None),
        private: false,
    },
];

impl Question {
    fn asks(&self, source: &Source) -> bool {
        !self.private || source.reference.map_or(source.clients > 1, |known| known.private.is_some())
    }

    /// Required and aimed at.
    fn targets(&self, played: &Played) -> (Option<f64>, Option<f64>) {
        match Reference::of(&played.trace) {
            Some(reference) => (self.known)(reference),
            None => (self.slack.and_then(|slack| Some(played.best_other(self.budget)?.hits() - slack)), None),
        }
    }

    /// The same of the mean: of other traces than those of the reference, no lower than the peers' mean.
    fn mean_targets(&self, all: &[Played]) -> (Option<f64>, Option<f64>) {
        let asked = ALL.iter().filter(|reference| !self.private || reference.private.is_some());
        let names: Vec<&str> = asked.map(|reference| reference.name).collect();
        if names.len() == all.len() && names.iter().all(|name| all.iter().any(|played| played.trace == *name)) {
            return self.mean;
        }
        let peers = all.iter().filter_map(|played| Some(played.best_other(self.budget)?.hits()));
        (self.slack.map(|_| mean(peers)), None)
    }
}

/// Figures that were measured on one trace, over all questions.
pub(super) struct Measured {
    pub(super) trace: String,
    /// The first question: cache of 5 %, waste budget 0.25.
    pub(super) first: Played,
    /// Hit ratio of the engine in percent, by question; `None` where the trace was not asked.
    pub(super) hits: [Option<f64>; QUESTIONS.len()],
    pub(super) max_budget_excess: f64,
}

impl Measured {
    /// Of the first question.
    pub(super) fn best_other(&self) -> Option<&Outcome> {
        self.first.best_other(QUESTIONS[0].budget)
    }
}

/// Asks all questions.
pub(super) fn measure(replay: &Replay, sources: &[Source], report: &mut Report) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = Vec::new();
    for (number, question) in QUESTIONS.iter().enumerate() {
        let asked: Vec<&str> =
            sources.iter().filter(|source| question.asks(source)).map(|source| source.path.as_str()).collect();
        if asked.is_empty() {
            continue;
        }
        let all = replay.run(&asked, question.arguments, &PEERS)?;
        print(question, &all, report);
        for played in all {
            let (hits, excess) = (Some(played.own.hits()), played.own.max_budget_excess);
            if let Some(known) = measured.iter_mut().find(|known| known.trace == played.trace) {
                known.max_budget_excess = known.max_budget_excess.max(excess);
                known.hits[number] = hits;
            } else {
                // The first question is asked of every trace.
                let (trace, mut all) = (played.trace.clone(), [None; QUESTIONS.len()]);
                all[number] = hits;
                measured.push(Measured { trace, first: played, hits: all, max_budget_excess: excess });
            }
        }
    }
    Ok(measured)
}

fn print(question: &Question, all: &[Played], report: &mut Report) {
    let own = ["foremap", "to the best peer", "waste", "required", "aim"];
    let mut table = rows::table(["hit ratio, %"].into_iter().chain(PEERS).chain(own));
    for played in all {
        let (required, aim) = question.targets(played);
        let measure = format!("{}: hit ratio. {}", played.trace, question.title);
        let hits = report.add(row(measure, played.own.hits(), required, aim), 1);
        let best = played.best_other(question.budget).map_or_else(String::new, |best| {
            let ratio = played.own.hit_ratio / best.hit_ratio;
            let measure = format!("{}: hits to those of {}. {}", played.trace, best.method, question.title);
            report.rows.push(Row::information(measure, ratio, "x", Better::Higher));
            format!("{} x {ratio:.3}", best.method)
        });
        let mut line = vec![played.trace.clone()];
        line.extend(played.others.iter().map(|other| {
            let hits = format!("{:.1}", other.hits());
            if other.wasted_per_request > question.budget { format!("({hits})") } else { hits }
        }));
        line.extend([hits, best, format!("{:.3}", played.own.wasted_per_request)]);
        line.extend([optional(required, 1), optional(aim, 1)]);
        table.add_row(line);
    }
    if all.len() > 1 {
        table.add_row(mean_line(question, all, report));
    }
    let notes = "markov1 and ppm2: the variant with most hits within the waste budget; in brackets, none kept to it.";
    Report::print(question.title, &table, notes);
}

fn mean_line(question: &Question, all: &[Played], report: &mut Report) -> Vec<String> {
    let (required, aim) = question.mean_targets(all);
    let own = mean(all.iter().map(|played| played.own.hits()));
    let hits = report.add(row(format!("mean hit ratio. {}", question.title), own, required, aim), 1);
    let best = mean(all.iter().filter_map(|played| Some(played.best_other(question.budget)?.hits())));
    let waste = mean(all.iter().map(|played| played.own.wasted_per_request));
    let mut line = vec!["mean".to_owned()];
    line.extend(PEERS.map(|_| String::new()));
    line.extend([hits, format!("best of each x {:.3}", own / best), format!("{waste:.3}")]);
    line.extend([optional(required, 1), optional(aim, 1)]);
    line
}

fn row(measure: String, value: f64, required: Option<f64>, aim: Option<f64>) -> Row {
    Row::information(measure, value, "%", Better::Higher).bounded(required, aim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hit ratios of the engine, and of a peer with waste.
    fn played(trace: &str, own: f64, peer: f64, waste: f64) -> Played {
        let outcome = |method: &str, hits: f64, waste: f64| Outcome {
            trace: trace.to_owned(),
            method: method.to_owned(),
            hit_ratio: hits / 100.0,
            wasted_per_request: waste,
            ..Outcome::default()
        };
        let others = vec![outcome("lru", 20.0, 0.0), outcome("ppm2", peer, waste)];
        Played { trace: trace.to_owned(), own: outcome("foremap", own, 0.1), others }
    }

    #[test]
    fn a_trace_of_the_reference_is_held_to_it_and_another_one_to_its_peers() {
        let question = &QUESTIONS[0];
        assert_eq!(question.targets(&played("cbuild-opens", 92.0, 99.0, 0.1)), (Some(90.9), Some(94.5)));
        let near = |targets: (Option<f64>, Option<f64>), expected: f64| {
            assert!(targets.0.is_some_and(|required| (required - expected).abs() < 1e-9), "{targets:?}");
            assert_eq!(targets.1, None);
        };
        near(question.targets(&played("other", 50.0, 60.0, 0.25)), 59.7);
        // Beyond the budget the peer does not count, and LRU is the best.
        near(question.targets(&played("other", 50.0, 60.0, 0.26)), 19.7);
        assert_eq!(QUESTIONS[4].targets(&played("other", 50.0, 60.0, 0.1)), (None, None));
    }

    #[test]
    fn the_mean_of_the_reference_counts_only_where_all_of_it_is_there() {
        let all: Vec<Played> = ALL.iter().map(|reference| played(reference.name, 70.0, 60.0, 0.1)).collect();
        assert_eq!(QUESTIONS[0].mean_targets(&all), (Some(69.0), Some(72.0)));
        assert_eq!(QUESTIONS[0].mean_targets(&all[1..]), (Some(60.0), None));
        let private = [&all[0], &all[2], &all[3], &all[6]].map(Clone::clone);
        assert_eq!(QUESTIONS[3].mean_targets(&private), (Some(52.5), Some(56.5)));
    }
}
