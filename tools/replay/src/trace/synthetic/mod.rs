//! Synthetic workloads whose rules are known, so that what could be foreseen is known too.
//!
//! A name is `synthetic:WORKLOAD`, optionally with `?seed=1&requests=100000`. The same name is the same trace on
//! every machine and in every version.
//!
//! | Workload | Who asks for what | Foreseeable |
//! |---|---|---|
//! | `profiles` | 40 clients open users, mostly new ones, and then their parts in a fixed order | all parts but the first |
//! | `series` | 20 clients follow time series in steps of 5 minutes or an hour, through every rollover | all but jumps |
//! | `walks` | 30 clients walk numbered items with their own stride | from the second or third item of a walk on |
//! | `tiles` | 20 clients pan over map tiles, three to a row | the row, and a direction that is kept |
//! | `scan` | 9 clients read popular pages at random, 3 scan archives | the scans |
//! | `phase` | 20 clients follow links; halfway all links change | links that were shown in the same phase |
//! | `noise` | 10 clients read uniformly at random | nothing |
//! | `tenants` | 6 tenants of 5 clients, each with one of the first three patterns, interleaved | as there |

mod calendar;
mod items;
mod pages;
mod records;
mod tenants;
mod workload;

use anyhow::{Context, Result, bail, ensure};

use self::items::{Tiles, Walks};
use self::pages::{Noise, Phase, Scan};
use self::records::{Profiles, Series};
use self::tenants::Tenants;
use self::workload::Workload;
use super::Trace;
use super::builder::Builder;
use crate::random::Random;

/// Beginning of the name of a synthetic workload.
pub const PREFIX: &str = "synthetic:";

/// Most requests of a workload: 1.6 GB in memory.
const MAX_REQUESTS: usize = 100_000_000;
/// Mean time between two requests of anybody.
const MEAN_GAP_MS: u64 = 10;

/// Generates the workload that `name` describes.
///
/// # Errors
/// Where there is no such workload or parameter, or a value is out of range.
pub fn synthesize(name: &str) -> Result<Trace> {
    generate(name).with_context(|| format!("cannot generate `{name}`"))
}

fn generate(name: &str) -> Result<Trace> {
    let (workload, seed, requests) = parse(name)?;
    let mut random = Random::new(seed);
    let mut workload: Box<dyn Workload> = match workload {
        "profiles" => Box::new(Profiles::new(40)),
        "series" => Box::new(Series::new(20, &mut random)),
        "walks" => Box::new(Walks::new(30, &mut random)),
        "tiles" => Box::new(Tiles::new(20, &mut random)),
        "scan" => Box::new(Scan::new()),
        "phase" => Box::new(Phase::new(20, requests / 2, &mut random)),
        "noise" => Box::new(Noise),
        "tenants" => Box::new(Tenants::new(&mut random)),
        other => {
            bail!("no workload `{other}`: there are profiles, series, walks, tiles, scan, phase, noise and tenants")
        }
    };
    let mut builder = Builder::default();
    let mut foreseeable = Vec::with_capacity(requests);
    let mut at_ms = 0;
    for _ in 0..requests {
        at_ms += random.below(2 * MEAN_GAP_MS + 1) as i64;
        let client = random.index(workload.clients());
        let step = workload.step(client, &mut random);
        builder.request(at_ms, format!("c{client}"), step.key)?;
        foreseeable.push(step.foreseeable);
    }
    Ok(Trace { foreseeable: Some(foreseeable), ..builder.trace })
}

/// Workload, seed and number of requests.
fn parse(name: &str) -> Result<(&str, u64, usize)> {
    let name = name.strip_prefix(PREFIX).context("the name does not begin with `synthetic:`")?;
    let (workload, parameters) = name.split_once('?').unwrap_or((name, ""));
    let (mut seed, mut requests) = (1, 100_000);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let number = value.parse::<u64>().with_context(|| format!("`{name}` needs a number, not `{value}`"))?;
        match name {
            "seed" => seed = number,
            "requests" => requests = usize::try_from(number)?,
            _ => bail!("no parameter `{name}`: there are seed and requests"),
        }
    }
    ensure!((1..=MAX_REQUESTS).contains(&requests), "requests must be 1 to {MAX_REQUESTS}");
    Ok((workload, seed, requests))
}

#[cfg(test)]
#[path = "synthetic_tests.rs"]
mod tests;
