//! The trace once more, each session in a browser tab of its own: a client that begins with an empty cache, is closed when
//! the session ends, and talks to a gateway without an edge worker between them.
//!
//! Once each client learns by itself only; at the same time, over other gateways, each also tells what it asks for and
//! starts from the model that the gateways made of what others told before it. As all are on one machine, each has a
//! token with a subject of its own, by which gateways tell clients apart.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use foremap_replay::trace::Trace;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use xtask::build;
use xtask::process::Server;

use super::fleet::{Fleet, Mode, Nodes};
use super::measure::{Measured, ModeResult, Replayed, Source};
use super::metrics::Prefetch;
use super::options::Options;
use super::replay;

/// Longest replay that is waited for.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// Task for `js/demo/tabs.mjs`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    /// Signs tokens.
    secret: &'a str,
    origins: &'a [String],
    share: &'static str,
    max_staleness: u32,
    /// Tabs that are open at once.
    tabs: u16,
    keys: &'a [String],
    sessions: Vec<Session<'a>>,
}

#[derive(Serialize)]
struct Session<'a> {
    name: &'a str,
    /// Milliseconds since the request before, at least, and the number of the key.
    steps: Vec<(u64, u32)>,
}

/// Result of that.
#[derive(Deserialize)]
struct Output {
    /// Milliseconds that each answer took, and where it came from.
    answers: Vec<(f64, String)>,
    prefetch: Prefetch,
    /// Sessions that got a model.
    models: usize,
}

/// Both ways at once: each takes about as long as the replay through the worker, and most of that is waiting.
pub(super) fn measure(fleet: &Fleet, trace: &Trace, options: &Options, bar: &ProgressBar) -> Result<Vec<ModeResult>> {
    // It tells sessions apart and guards nothing: everything is on this machine.
    let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(64).collect();
    let key = fleet.scratch.path("tabs.key");
    std::fs::write(&key, &secret).with_context(|| format!("cannot write {}", key.display()))?;
    // A gateway takes no key that everybody can read.
    #[cfg(unix)]
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    std::thread::scope(|scope| {
        let (secret, key) = (secret.as_str(), key.as_path());
        let begin = |mode: Mode| scope.spawn(move || measure_mode(fleet, mode, trace, options, (secret, key), bar));
        let modes = Mode::TABS.map(begin);
        let results =
            modes.into_iter().map(|mode| mode.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.collect()
    })
}

fn measure_mode(
    fleet: &Fleet,
    mode: Mode,
    trace: &Trace,
    options: &Options,
    (secret, key): (&str, &Path),
    bar: &ProgressBar,
) -> Result<ModeResult> {
    // A store of its own, as a file is one process's.
    let file = |end: &str| format!("tabs-{}.{end}", mode.argument());
    let store = file("redb");
    std::fs::copy(fleet.scratch.path(Fleet::STORE), fleet.scratch.path(&store)).context("cannot copy the store")?;
    let mut nodes = Nodes::start_sharing(fleet, &store, key, options.share_clients)?;
    let before = nodes.requests()?;
    let input = Input {
        secret,
        origins: &nodes.origins,
        share: mode.argument(),
        max_staleness: fleet.max_staleness,
        tabs: options.clients,
        keys: &trace.keys,
        sessions: sessions(trace, options),
    };
    let start = Instant::now();
    let output = run(fleet, &input, &["in.json", "out.json", "log"].map(|end| fleet.scratch.path(&file(end))), bar);
    let seconds = start.elapsed().as_secs_f64();
    nodes.check()?;
    let output = output.with_context(|| mode.title())?;
    let replayed = replayed(&output)?;
    ensure!(replayed.requests() == trace.requests.len(), "{}: not every request was answered", mode.title());
    let gateway_requests = nodes.requests()?.saturating_sub(before);
    ensure!(gateway_requests > 0, "{}: the gateways counted no request", mode.title());
    let measured = Measured { gateway_requests, prefetch: output.prefetch, models: output.models };
    Ok(ModeResult { mode, replayed, measured, seconds })
}

fn sessions<'a>(trace: &'a Trace, options: &Options) -> Vec<Session<'a>> {
    let milliseconds = |gap: Duration| u64::try_from(gap.as_millis()).unwrap_or(u64::MAX);
    let session = |(client, steps): (u32, Vec<replay::Step>)| Session {
        name: &trace.clients[client as usize],
        steps: steps.into_iter().map(|(gap, key)| (milliseconds(gap), key)).collect(),
    };
    // A client that asks for nothing opens no tab.
    replay::sessions(trace, options).into_iter().filter(|(_, steps)| !steps.is_empty()).map(session).collect()
}

fn run(fleet: &Fleet, input: &Input, [inputs, outputs, log]: &[PathBuf; 3], bar: &ProgressBar) -> Result<Output> {
    std::fs::write(inputs, serde_json::to_vec(input)?).with_context(|| format!("cannot write {}", inputs.display()))?;
    let mut command = build::node(fleet.workspace);
    let mut tabs = Server::start("the tabs", command.arg("js/demo/tabs.mjs").args([inputs, outputs]), log)?;
    let mut shown = 0;
    tabs.wait_for(PATIENCE, |log| {
        let answered = answered(log);
        bar.inc(answered.saturating_sub(shown));
        shown = answered.max(shown);
        log.lines().any(|line| line == "done").then_some(())
    })?;
    let text = std::fs::read(outputs).with_context(|| format!("cannot read {}", outputs.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The number in the last whole line `answered N`.
fn answered(log: &str) -> u64 {
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let number = whole.lines().rev().find_map(|line| line.strip_prefix("answered ")?.parse().ok());
    number.unwrap_or(0)
}

fn replayed(output: &Output) -> Result<Replayed> {
    let mut all = Replayed::default();
    for (milliseconds, source) in &output.answers {
        let source = Source::parse(source).ok_or_else(|| anyhow!("unknown source `{source}`"))?;
        let latency = Duration::try_from_secs_f64(milliseconds / 1e3).context("a latency is no time")?;
        all.add(latency, source);
    }
    Ok(Replayed::seal([all]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_tell_how_far_it_is() {
        assert_eq!(answered(""), 0);
        assert_eq!(answered("answered 12"), 0, "the last line may be cut");
        assert_eq!(answered("answered 12\na warning\nansw"), 12);
        assert_eq!(answered("answered 12\nanswered 30\ndone\n"), 30);
    }

    #[test]
    fn answers_count_as_those_of_the_worker() -> Result<()> {
        let output = |source: &str| -> Result<Output> {
            let prefetch = r#"{"issued":3,"used":1,"late":0,"refunded":1}"#;
            let text = format!(r#"{{"answers":[[80.5,"joined"],[0.5,"{source}"]],"prefetch":{prefetch},"models":1}}"#);
            Ok(serde_json::from_str(&text)?)
        };
        let of_both = output("cache")?;
        let replayed_both = replayed(&of_both)?;
        assert_eq!((replayed_both.requests(), replayed_both.hits, replayed_both.revalidated), (2, 1, 0));
        assert!((replayed_both.mean_ms() - 40.5).abs() < 1e-9);
        assert_eq!(of_both.prefetch.wasted(), 1);
        assert!(replayed(&output("stale")?).is_err());
        Ok(())
    }
}
