//! `foremap-tab TRACE... [OPTION=VALUE]...`: prints the figures of each trace, mode and rate of writes as a JSON array.
//!
//! With `lists=N` in place of traces it prints what became of the items of N lists.
//!
//! A trace is a file, a synthetic workload by its name, or `human`: the one of this crate.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use foremap::adapter::FeedConfig;
use foremap_tab::human::human;
use foremap_tab::lists;
use foremap_tab::{Figures, Mode, Paced, Setup, paced, replay};
use parking_lot::Mutex;

/// The staleness bound of a browser.
const BROWSER_BOUND_MS: u32 = 10_000;

const USAGE: &str = "usage: foremap-tab lists=N | TRACE|human... [requests=N] [modes=NAME,...] [writes=PERMILLE,...] [bound=MS] [idle=MS] [after=N] \
    [origins=N] [share=CLIENTS] [threads=N] [seed=N]; modes: no-cache ttl cache-only default shared pooled";

struct Options {
    traces: Vec<String>,
    requests: usize,
    modes: Vec<Mode>,
    writes: Vec<u32>,
    bound_ms: u32,
    feed: FeedConfig,
    origins: usize,
    share_clients: u32,
    threads: usize,
    seed: u64,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        traces: Vec::new(),
        requests: 60_000,
        modes: Mode::ALL.to_vec(),
        writes: vec![0, 10],
        bound_ms: BROWSER_BOUND_MS,
        feed: FeedConfig { enabled: true, ..FeedConfig::default() },
        origins: 1,
        share_clients: 5,
        threads: 2,
        seed: 1,
    };
    for argument in std::env::args().skip(1) {
        let Some((name, value)) = argument.split_once('=').filter(|(name, _)| !name.contains(['/', ':'])) else {
            options.traces.push(argument);
            continue;
        };
        match name {
            "requests" => options.requests = value.parse()?,
            "modes" => {
                let modes: Option<Vec<Mode>> = value.split(',').map(Mode::of).collect();
                options.modes = modes.ok_or(USAGE)?;
            }
            "writes" => options.writes = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "idle" => options.feed.idle_ms = value.parse()?,
            "after" => options.feed.after_requests = value.parse()?,
            "bound" => options.bound_ms = value.parse()?,
            "origins" => options.origins = value.parse()?,
            "share" => options.share_clients = value.parse()?,
            "threads" => options.threads = value.parse()?,
            "seed" => options.seed = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    let sound = !options.traces.is_empty() && options.origins > 0 && options.threads > 0;
    if sound { Ok(options) } else { Err(USAGE.into()) }
}

/// The trace of this name, and what to call it.
fn trace(name: &str, options: &Options) -> Result<(String, Paced), Box<dyn Error>> {
    if name == "human" {
        return Ok((name.to_owned(), paced(&human(options.seed, options.requests), options.requests)));
    }
    let trace = foremap_replay::trace::open(name).map_err(|error| format!("{error:#}"))?;
    let file = Path::new(name).file_name().map_or_else(|| name.into(), |file| file.to_string_lossy());
    let called = file.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    Ok((called, paced(&trace, options.requests)))
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(count) = std::env::args().nth(1).as_deref().and_then(|argument| argument.strip_prefix("lists=")) {
        println!("{}", serde_json::to_string(&lists::run(count.parse()?, true))?);
        return Ok(());
    }
    let options = options()?;
    let traces: Vec<_> = options.traces.iter().map(|name| trace(name, &options)).collect::<Result<_, _>>()?;
    let mut jobs: Vec<(&(String, Paced), Setup)> = Vec::new();
    for trace in &traces {
        for &writes in &options.writes {
            for &mode in &options.modes {
                let Options { bound_ms, feed, origins, share_clients, seed, .. } = options;
                jobs.push((trace, Setup { mode, writes, bound_ms, feed, origins, share_clients, seed }));
            }
        }
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::<(usize, Figures)>::new()));
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(((name, trace), setup)) = jobs.get(nth) else { return };
            let figures = replay(name, trace, *setup);
            done.lock().push((nth, figures));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(nth, _)| *nth);
    let figures: Vec<Figures> = done.into_iter().map(|(_, figures)| figures).collect();
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
