//! Replaying a trace over HTTP, closed loop.
//!
//! The requests of one client go out in their own order, one at a time: the next
//! is sent when the answer is there and the recorded gap since the previous
//! request's start, capped, has passed. Clients start in order of their first
//! request, so many of them at once; only one that alone has more requests than
//! its share of the whole goes first, as all would wait for it in the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use foremap_bench::http;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use serde::Deserialize;

use super::measure::{Replayed, Source};
use super::options::Options;
use foremap_replay::trace::Trace;

/// Wrong answers after which the replay gives up.
const MAX_WRONG: usize = 100;
/// Wrong answers that are shown.
const SHOWN_WRONG: usize = 5;

/// One request of a client: how long after the previous one it starts at the earliest, and its key.
pub(super) type Step = (Duration, u32);

/// The clients of the trace with what each asks for, in the order in which they are to start.
pub(super) fn sessions(trace: &Trace, options: &Options) -> Vec<(u32, Vec<Step>)> {
    let mut clients = steps_of_clients(trace, Duration::from_millis(options.gap_cap.into()));
    start_longest_first(&mut clients, trace.requests.len() / usize::from(options.clients));
    clients
}

/// Replays the trace and returns every answer.
///
/// # Errors
/// If any answer is not a 200 with the key that was asked for.
pub(super) fn replay(origin: &str, trace: &Trace, options: &Options, bar: &ProgressBar) -> Result<Replayed> {
    let clients = sessions(trace, options);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let slot = || {
        let mut replayed = Replayed::default();
        while let Some(steps) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !replay_client(origin, trace, steps, &mut replayed, &wrong, bar) {
                break;
            }
        }
        replayed
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let slots: Vec<_> = (0..options.clients).map(|_| scope.spawn(slot)).collect();
        slots.into_iter().map(|slot| slot.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });

    let wrong = wrong.into_inner();
    if !wrong.is_empty() {
        let shown: Vec<_> = wrong.iter().take(SHOWN_WRONG).map(|error| format!("{error:#}")).collect();
        bail!("{} answers were wrong, among them:\n  {}", wrong.len(), shown.join("\n  "));
    }
    let replayed = Replayed::seal(parts);
    ensure!(replayed.requests() == trace.requests.len(), "not every request was answered");
    Ok(replayed)
}

/// Replays one client; false if too much is wrong to go on.
fn replay_client(
    origin: &str,
    trace: &Trace,
    (client, steps): &(u32, Vec<Step>),
    replayed: &mut Replayed,
    wrong: &Mutex<Vec<anyhow::Error>>,
    bar: &ProgressBar,
) -> bool {
    let agent = http::agent();
    let stream = &trace.clients[*client as usize];
    let mut previous: Option<Instant> = None;
    for (gap, key) in steps {
        if let Some(previous) = previous {
            std::thread::sleep(gap.saturating_sub(previous.elapsed()));
        }
        let start = Instant::now();
        previous = Some(start);
        match ask(&agent, origin, stream, &trace.keys[*key as usize]) {
            Ok(source) => replayed.add(start.elapsed(), source),
            Err(error) => {
                let mut wrong = wrong.lock();
                wrong.push(error);
                if wrong.len() >= MAX_WRONG {
                    return false;
                }
            }
        }
        bar.inc(1);
    }
    true
}

fn steps_of_clients(trace: &Trace, cap: Duration) -> Vec<(u32, Vec<Step>)> {
    let mut clients: Vec<_> = (0..).zip(&trace.clients).map(|(client, _)| (client, Vec::new())).collect();
    let mut last_at: Vec<Option<i64>> = vec![None; clients.len()];
    for request in &trace.requests {
        let client = request.client as usize;
        // The source's clock may step back.
        let gap = last_at[client].map_or(0, |last| request.at_ms.saturating_sub(last).max(0));
        last_at[client] = Some(request.at_ms);
        clients[client].1.push((Duration::from_millis(gap.unsigned_abs()).min(cap), request.key));
    }
    clients
}

/// Puts clients with more requests than `share` first; apart from that the order stays.
fn start_longest_first(clients: &mut [(u32, Vec<Step>)], share: usize) {
    clients.sort_by_key(|(_, steps)| steps.len() <= share);
}

/// The part of an answer that is checked.
#[derive(Deserialize)]
struct Answer {
    key: String,
}

/// Asks for one key and checks the answer.
fn ask(agent: &ureq::Agent, origin: &str, stream: &str, key: &str) -> Result<Source> {
    let url = http::keymap_url(origin, key);
    let mut answer = agent.get(&url).header("foremap-stream", stream).call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    ensure!(answer.status() == 200, "GET {url}: {} {body}", answer.status());
    let answered: Answer = serde_json::from_str(&body).with_context(|| format!("GET {url}: {body}"))?;
    ensure!(answered.key == key, "GET {url}: the answer is about `{}`", answered.key);
    let source = answer.headers().get("foremap-source").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Source::parse(source).ok_or_else(|| anyhow!("GET {url}: unknown foremap-source `{source}`"))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
