//! Losses of others where some clients lie, and where one is a robot.
//!
//! A liar tells of ways from the 16 most popular keys to others that nobody asks for, in place of each request that it would
//! have told of; one that floods tells of all 16 each time: what `replay --share-liars` does. The robot asks for all keys of the trace one after the other in an order of
//! its own, over and over, a request after each one of the others.

use std::time::Instant;

use anyhow::{Result, ensure};
use foremap_bench::rows::{self, Better, Row};
use foremap_replay::trace::{Request, Trace};
use xxhash_rust::xxh3::xxh3_64;

use super::runs::{Program, Sharing, snapshot_age};
use crate::report::{Report, optional};

/// One of so many clients lies: 5 %.
const LIARS: u32 = 20;
/// Lies that are told: all the same, something new each time, or the same about all popular keys each time.
const LIES: [&str; 3] = ["common", "novel", "flood"];
const SHARING: Sharing = Sharing::USUAL;
/// Points that others lose: required, aim.
const BY_LIARS: (f64, f64) = (2.0, 0.5);
const BY_ROBOT: (f64, f64) = (1.0, 0.5);

/// Measures all traces.
pub(super) fn measure(program: &Program, sources: &[(String, String)], report: &mut Report) -> Result<()> {
    let begin = Instant::now();
    let mut table = rows::table([
        "trace",
        "honest clients hit, %",
        "lost to common lies",
        "lost to novel lies",
        "lost to a flood",
        "all hit, %",
        "lost to a robot",
    ]);
    for (name, path) in sources {
        eprintln!("bench: model {name}, liars and a robot");
        let (trace, path) = program.beginning(path)?;
        let options = format!("{} --series 1", SHARING.options(snapshot_age(&trace.requests)));
        let known = program.play(&path, &options)?.series;
        let is_honest = |request: &Request| request.client % LIARS != LIARS - 1;
        let honest = hits(&trace.requests, &known, is_honest)?;
        let mut line = vec![name.clone(), optional(honest, 2)];
        let mut add = |by: &str, lost: Option<f64>, (required, aim): (f64, f64)| {
            let Some(lost) = lost else { return String::new() };
            let row = Row::information(format!("model, {name}: hits lost to {by}"), lost, "points", Better::Lower);
            report.add(row.requires(required).aims(aim), 2)
        };
        for lie in LIES {
            let outcome = program.play(&path, &format!("{options} --share-liars {LIARS} --share-lie {lie}"))?;
            let left = hits(&trace.requests, &outcome.series, is_honest)?;
            let lost = honest.zip(left).map(|(honest, left)| honest - left);
            line.push(add(&format!("5 % of liars, {lie} lies"), lost, BY_LIARS));
        }
        let all = hits(&trace.requests, &known, |_| true)?;
        line.push(optional(all, 2));
        let robot = trace.clients.len() as u32;
        let trace = with_robot(trace);
        let outcome = program.play(&program.write("robot.csv", &trace)?, &options)?;
        let left = hits(&trace.requests, &outcome.series, |request| request.client != robot)?;
        let lost = all.zip(left).map(|(all, left)| all - left);
        line.push(add("a robot of half of all requests", lost, BY_ROBOT));
        table.add_row(line);
    }
    let notes = format!(
        "{SHARING}, the first 30,000 requests; points of hits that all others lose. Liars, 5 % of the clients, tell of ways from the 16 most popular \
        keys to others that nobody asks for, one for each request of theirs: common lies are the same each time, novel ones never; a flood \
        is of common lies, sixteen for each telling. Required: {:.0} \
        points, aim: {:.1}. The robot makes half of all requests, for all keys in an order of its own. Required: {:.0}, \
        aim: {:.1}. A figure marked with ! misses what is required. Measured in {:.0} s.",
        BY_LIARS.0,
        BY_LIARS.1,
        BY_ROBOT.0,
        BY_ROBOT.1,
        begin.elapsed().as_secs_f64()
    );
    Report::print("Liars and a robot", &table, &notes);
    Ok(())
}

/// Hits of some requests in percent, where there are any; `series` says of each request whether it hit.
fn hits(requests: &[Request], series: &[u32], is_counted: impl Fn(&Request) -> bool) -> Result<Option<f64>> {
    ensure!(requests.len() == series.len(), "{} requests, and {} of them replayed", requests.len(), series.len());
    let counted: Vec<u32> =
        requests.iter().zip(series).filter(|(request, _)| is_counted(request)).map(|(_, hit)| *hit).collect();
    let sum = f64::from(counted.iter().sum::<u32>());
    Ok((!counted.is_empty()).then(|| 100.0 * sum / counted.len() as f64))
}

/// The same with one more client, which asks for a key after each request.
fn with_robot(trace: Trace) -> Trace {
    let mut order: Vec<u32> = (0..).take(trace.keys.len()).collect();
    order.sort_by_cached_key(|&key| xxh3_64(trace.keys[key as usize].as_bytes()));
    let (robot, mut clients) = (trace.clients.len() as u32, trace.clients);
    clients.push("robot".to_owned());
    let crawl = order.iter().copied().cycle();
    let requests = trace.requests.into_iter().zip(crawl).flat_map(|(request, key)| {
        let own = Request { client: robot, key, ..request };
        [request, own]
    });
    Trace { requests: requests.collect(), keys: trace.keys, clients, ..Trace::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let requests = (0..12).map(|at| Request { at_ms: at.into(), client: at % 3, key: at % 4 }).collect();
        let names = |prefix: &str, count| (0..count).map(|at| format!("{prefix}{at}")).collect();
        Trace { requests, keys: names("k", 4), clients: names("c", 3), ..Trace::default() }
    }

    #[test]
    fn a_robot_makes_half_of_all_requests_in_one_order() {
        let with = with_robot(trace());
        let (own, others): (Vec<&Request>, Vec<&Request>) =
            with.requests.iter().partition(|request| with.clients[request.client as usize] == "robot");
        assert!(others.into_iter().eq(&trace().requests));
        let keys: Vec<u32> = own.iter().map(|request| request.key).collect();
        assert_eq!((keys.len(), &keys[..4], &keys[..4]), (12, &keys[4..8], &keys[8..]));
        let mut once = keys[..4].to_vec();
        once.sort_unstable();
        assert_eq!(once, [0, 1, 2, 3]);
    }

    #[test]
    fn hits_are_those_of_the_requests_that_count() -> Result<()> {
        let requests = trace().requests;
        let series: Vec<u32> = requests.iter().map(|request| u32::from(request.client == 0)).collect();
        assert_eq!(hits(&requests, &series, |request| request.client < 2)?, Some(50.0));
        assert_eq!(hits(&requests, &series, |_| false)?, None);
        assert!(hits(&requests, &series[1..], |_| true).is_err());
        Ok(())
    }
}
