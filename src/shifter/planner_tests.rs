//! Runs the stories of `testdata`, in the form that its README describes.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::*;
use crate::analyzer::step_of;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::{Forecast, LoadModel, ROUND_MS};
use crate::partition::{MapNode, NodeId, PartitionMap, Portion};
use crate::shifter::testing::{imbalance, map, reports};
use crate::shifter::{Move, PlanSettings, ShiftHistory, shift};

/// A fleet, what it serves, and what was last planned for it.
struct Story {
    map: Arc<PartitionMap>,
    base: Vec<u16>,
    settings: PlanSettings,
    load: LoadModel,
    forecast: Forecast,
    history: ShiftHistory,
    requests: Vec<(CompositeKey, u32)>,
    together: Vec<(KeyPrefix, KeyPrefix, u32)>,
    silent: Vec<NodeId>,
    plan: Plan,
}

/// The story as its commands have it: what was expected is left out, and what came of it put in its place.
fn told(text: &str) -> Result<String, String> {
    let mut story: Option<Story> = None;
    let mut told = String::new();
    let mut output: Option<String> = None;
    let mut is_loading = false;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let fail = |why: String| format!("line {}: {why}: {line:?}", at + 1);
        writeln!(told, "{line}").map_err(|error| fail(error.to_string()))?;
        if line == "----" {
            told += &output.take().ok_or_else(|| fail("only below `plan` or `shift`".to_owned()))?;
            while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
        } else if line.starts_with(' ') {
            let story = story.as_mut().filter(|_| is_loading);
            story.ok_or_else(|| fail("only below `load`".to_owned()))?.serve(line.trim()).map_err(fail)?;
        } else if !line.is_empty() && !line.starts_with('#') {
            let words: Vec<&str> = line.split_whitespace().collect();
            is_loading = words == ["load"];
            output = match (words[0], &mut story) {
                ("map", _) => {
                    story = Some(Story::new(&words[1..]).map_err(fail)?);
                    None
                }
                (_, None) => return Err(fail("a story begins with `map`".to_owned())),
                (_, Some(story)) => story.tell(&words).map_err(fail)?,
            };
        }
    }
    Ok(told)
}

impl Story {
    fn new(options: &[&str]) -> Result<Self, String> {
        let (mut nodes, mut partitions) = (0, 16_384);
        for (name, value) in options.iter().map(|option| named(option)).collect::<Result<Vec<_>, _>>()? {
            match name {
                "nodes" => nodes = number(value)?,
                "partitions" => partitions = number(value)?,
                _ => return Err(format!("no such option: {name}")),
            }
        }
        if nodes == 0 || partitions == 0 {
            return Err("a map has nodes and partitions".to_owned());
        }
        let map = map(nodes, partitions);
        Ok(Self {
            base: map.rendezvous(),
            load: LoadModel::new(map.partitions),
            map,
            settings: PlanSettings { entries: Some(200_000), ..PlanSettings::default() },
            forecast: Forecast::default(),
            history: ShiftHistory::default(),
            requests: Vec::new(),
            together: Vec::new(),
            silent: Vec::new(),
            plan: Plan::default(),
        })
    }

    /// Does what a line says. `plan` and `shift` have something to tell.
    fn tell(&mut self, words: &[&str]) -> Result<Option<String>, String> {
        match *words {
            ["settings", ref options @ ..] => self.set(options)?,
            ["weight", node, weight] => {
                let (node, weight): (NodeId, u32) = (number(node)?, number(weight)?);
                let known = |it: &&mut MapNode| it.id == node;
                let mut map = PartitionMap::clone(&self.map);
                map.nodes.iter_mut().find(known).ok_or("no such node")?.weight = weight;
                self.base = map.rendezvous();
                self.map = Arc::new(map);
            }
            ["rule", prefix, portion] => {
                let (depth, spread) = portion.split_once('.').ok_or("a portion is `depth.spread`")?;
                let portion = Portion { depth: number(depth)?, spread: number(spread)? };
                self.change(&[Move::Place { prefix: prefix_of(prefix)?, portion }])?;
            }
            ["assign", partitions, node] => {
                let (partitions, node) = (range(partitions)?, Some(number(node)?));
                self.change(&partitions.map(|partition| Move::Assign { partition, node }).collect::<Vec<_>>())?;
            }
            ["load"] => (self.requests, self.together) = (Vec::new(), Vec::new()),
            ["silent", ref nodes @ ..] => self.silent = nodes.iter().map(|&id| number(id)).collect::<Result<_, _>>()?,
            ["forget"] => (self.load, self.history) = (LoadModel::new(self.map.partitions), ShiftHistory::default()),
            ["rounds", rounds] => range(rounds)?.try_for_each(|round| self.round(round.into()))?,
            ["at", time] => self.round(milliseconds(time)? / ROUND_MS)?,
            ["plan"] => {
                self.plan = self.planned();
                return Ok(Some(format!("{}{}", self.plan, moves(&self.plan.moves))));
            }
            ["shift"] => {
                let moves = std::mem::take(&mut self.plan).moves;
                let before = imbalance(&self.map, &self.requests);
                self.change(&moves)?;
                self.history.applied(&moves, self.load.round());
                return Ok(Some(self.shifted(before)));
            }
            _ => return Err("no such command".to_owned()),
        }
        Ok(None)
    }

    fn change(&mut self, moves: &[Move]) -> Result<(), String> {
        self.map = Arc::new(shift(&self.map, moves).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn set(&mut self, options: &[&str]) -> Result<(), String> {
        let settings = &mut self.settings;
        for option in options {
            let (name, value) = named(option)?;
            match name {
                "entries" => settings.entries = if value == "unknown" { None } else { Some(number(value)?) },
                "entries_at_most" => settings.entries_at_most = number(value)?,
                "entries_usually" => settings.entries_usually = number(value)?,
                "entries_free" => settings.entries_free = number(value)?,
                "entries_for_order" => settings.entries_for_order = number(value)?,
                "exceptions" => settings.exceptions = number(value)?,
                "max_hot" => settings.max_hot = number(value)?,
                "split_from" => settings.split_from = number(value)?,
                "replicate_from" => settings.replicate_from = number(value)?,
                "replicate_until" => settings.replicate_until = number(value)?,
                _ => return Err(format!("no such setting: {name}")),
            }
        }
        Ok(())
    }

    /// A line below `load`: `KEYS COUNT`, or `PREFIX & PREFIX COUNT`.
    fn serve(&mut self, line: &str) -> Result<(), String> {
        match *line.split_whitespace().collect::<Vec<_>>() {
            [pattern, count] => {
                let count = number(count)?;
                for text in texts(pattern)? {
                    let key = CompositeKey::parse(&text).map_err(|error| error.to_string())?;
                    self.requests.push((key, count));
                }
            }
            [one, "&", other, count] => {
                let (one, other) = (prefix_of(one)?, prefix_of(other)?);
                let pair = if one < other { (one, other) } else { (other, one) };
                self.together.push((pair.0, pair.1, number(count)?));
                self.together.sort();
            }
            _ => return Err("neither `KEYS COUNT` nor `PREFIX & PREFIX COUNT`".to_owned()),
        }
        Ok(())
    }

    /// Has all nodes that are not silent report of a round.
    fn round(&mut self, round: u64) -> Result<(), String> {
        let mut reports = reports(&self.map, &self.requests, round, round);
        reports.retain(|report| !self.silent.contains(&report.node));
        reports.first_mut().ok_or("nobody reports")?.together.clone_from(&self.together);
        if !reports.iter().all(|report| self.load.merge(report, round)) {
            return Err("a round that is not newer than the last one".to_owned());
        }
        let mean = self.load.requests() / self.map.nodes.len() as f64;
        self.forecast.update(&self.load, round * ROUND_MS, mean);
        Ok(())
    }

    fn planned(&self) -> Plan {
        let Self { map, base, load, forecast, history, settings, .. } = self;
        plan(&PlanInput { map, base, load, forecast, history, settings })
    }

    /// Report on what the map has come to, and on what it makes of the requests.
    fn shifted(&self, before: f64) -> String {
        let map = &self.map;
        let mut text = format!("map {}\n", map.epoch);
        let after = imbalance(map, &self.requests);
        let _ = writeln!(text, "  heaviest node    {before:.3} -> {after:.3} of the mean, as measured");
        for rule in &map.rules {
            let _ = writeln!(text, "  rule             {} {}.{}", rule.prefix, rule.portion.depth, rule.portion.spread);
        }
        for hot in &map.hot {
            let _ = writeln!(text, "  hot key          {} on {}", hot.key, list(&hot.nodes));
        }
        let _ = writeln!(text, "  exceptions       {}", map.exceptions.len());
        text
    }
}

/// Moves line by line, those of partitions to one node in one.
fn moves(moves: &[Move]) -> String {
    let mut text = String::new();
    let mut assigned: std::collections::BTreeMap<Option<NodeId>, Vec<u32>> = std::collections::BTreeMap::new();
    for change in moves {
        let _ = match change {
            Move::Place { prefix, portion } => {
                writeln!(text, "place {prefix} {}.{}", portion.depth, portion.spread)
            }
            Move::Merge { prefix } => writeln!(text, "merge {prefix}"),
            Move::Replicate { key, nodes } if nodes.is_empty() => writeln!(text, "replicate {key} no more"),
            Move::Replicate { key, nodes } => writeln!(text, "replicate {key} on {}", list(nodes)),
            Move::Members { nodes } => writeln!(text, "members {}", nodes.len()),
            Move::Assign { partition, node } => {
                assigned.entry(*node).or_default().push(*partition);
                Ok(())
            }
        };
    }
    for (node, partitions) in assigned {
        let node = node.map_or_else(|| "their rendezvous winners".to_owned(), |id| format!("node {id}"));
        let _ = writeln!(text, "assign to {node}: {}", list(&partitions));
    }
    text
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

fn named(option: &str) -> Result<(&str, &str), String> {
    option.split_once('=').ok_or_else(|| format!("not `name=value`: {option}"))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("no such number: {text}"))
}

fn prefix_of(text: &str) -> Result<KeyPrefix, String> {
    KeyPrefix::parse(text).map_err(|error| error.to_string())
}

/// `7`, or `2..5` for 2, 3 and 4.
fn range(text: &str) -> Result<Range<u32>, String> {
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|one: u32| one..one + 1),
    }
}

/// `t{0..400}/files` for all from `t0/files` to `t399/files`.
fn texts(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('{') else { return Ok(vec![pattern.to_owned()]) };
    let (numbers, after) = rest.split_once('}').ok_or("a brace without its other half")?;
    let (numbers, after) = (range(numbers)?, texts(after)?);
    Ok(numbers.flat_map(|n| after.iter().map(move |after| format!("{before}{n}{after}"))).collect())
}

/// `2026-11-25T10:59:54`, in UTC.
fn milliseconds(time: &str) -> Result<u64, String> {
    let (minute, second) = time.rsplit_once(':').ok_or("a time is like `2026-11-25T10:59:54`")?;
    let minute = step_of(minute).filter(|step| step.unit_ms == Some(60_000)).ok_or("no such minute")?;
    Ok(minute.value as u64 * 60_000 + number::<u64>(second)? * 1_000)
}

fn stories() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shifter/testdata");
    let entries = fs::read_dir(directory).expect("the directory of stories");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

#[test]
fn every_story_ends_as_it_is_told() {
    let bless = std::env::var_os("FOREMAP_BLESS").is_some_and(|value| value == "1");
    let mut wrong = String::new();
    for path in stories() {
        let text = fs::read_to_string(&path).expect("a story");
        let told = told(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if bless {
            fs::write(&path, &told).expect("a story can be written");
        } else if let Some((at, (is, was))) =
            told.lines().zip(text.lines()).enumerate().find(|(_, (is, was))| is != was)
        {
            let _ = writeln!(wrong, "{}: line {}:\n  expected {was}\n  came     {is}", path.display(), at + 1);
        } else if told != text {
            let _ = writeln!(wrong, "{}: {} lines came", path.display(), told.lines().count());
        }
    }
    assert!(wrong.is_empty(), "{wrong}FOREMAP_BLESS=1 writes what is expected anew");
}

#[test]
fn a_malformed_story_is_refused() {
    for (text, error) in [
        ("plan", "line 1: a story begins with `map`: \"plan\""),
        ("map nodes=0", "line 1: a map has nodes and partitions"),
        ("map nodes=x", "line 1: no such number: x"),
        ("map nodes=1\n\nplane", "line 3: no such command: \"plane\""),
        ("map nodes=1\nsettings speed=1", "line 2: no such setting: speed"),
        ("map nodes=1\n  a/b 1", "line 2: only below `load`"),
        ("map nodes=1\nload\n  a//b 1", "line 3: "),
        ("map nodes=1\nload\n  a/b", "line 3: neither `KEYS COUNT`"),
        ("map nodes=1\nload\n  a/{0..2 1", "line 3: a brace"),
        ("map nodes=1\nrounds 2\nrounds 1\nrounds 1", "line 4: a round that is not newer"),
        ("map nodes=1\nsilent 1\nrounds 2", "line 3: nobody reports"),
        ("map nodes=1\nweight 2 0", "line 2: no such node"),
        ("map nodes=1\nassign 1 2", "line 2: "),
        ("map nodes=1\nrule a/b 2", "line 2: a portion"),
        ("map nodes=1\nat 3", "line 2: a time"),
        ("map nodes=1\nrounds 1\n----", "line 3: only below `plan`"),
    ] {
        let refused = told(text).expect_err(text);
        assert!(refused.starts_with(error), "{text:?}: {refused}");
    }
}
