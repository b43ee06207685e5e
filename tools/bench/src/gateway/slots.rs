//! Time that keys wait while their slot is moved from one master to another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use foremap_bench::http::{agent, keymap_url};
use foremap_bench::rows;
use foremap_redis_cluster::{AT_ONCE, RedisCluster};
use parking_lot::{Mutex, MutexGuard};

use super::coefficients::{Report, costs};
use super::programs::Bench;

/// Keys of the slot, beside those that are asked for.
const KEYS: usize = 10_000;
/// Bytes of each, as a keymap has.
const BYTES: usize = 190;
/// Number of times that the slot moves; the worst is what counts.
const MOVES: usize = 4;
/// Keys that `redis-cli --cluster reshard --cluster-pipeline 100` moves at once.
const PIPELINE: usize = 100;
/// The longest that a key is to wait, in milliseconds.
const MOST_MS: f64 = 1_000.0;
/// Load before and after each move.
const QUIET: Duration = Duration::from_millis(500);

/// Waits and refusals that clients met.
#[derive(Default)]
struct Met {
    /// Longest time until a call succeeded, its repetitions included.
    longest: Mutex<[Duration; 2]>,
    /// Answers 503.
    refused: Mutex<[u64; 2]>,
    stop: AtomicBool,
}

/// Moves a slot back and forth under reads and writes of the keys in it, in each way that the engine has.
pub(super) fn measure(bench: &Bench, cluster: &RedisCluster, report: &mut Report) -> Result<()> {
    let gateway = bench.over(cluster, 1)?;
    let origin = format!("http://{}", gateway.address);
    let (slot, keys) = fill(cluster, &origin)?;
    let mut ways = vec![("10 keys at once", Some(AT_ONCE)), ("100 keys at once", Some(PIPELINE))];
    if cluster.moves_slots_atomically()? {
        ways.push(("as a whole", None));
    }
    let title = ["slot moves", "takes, ms", "longest strong read, ms", "longest write, ms", "refused reads, writes"];
    let mut table = rows::table(title);
    for (name, at_once) in ways {
        let met = Met::default();
        let mut took = Duration::ZERO;
        std::thread::scope(|scope| -> Result<()> {
            let clients: Vec<_> = (0..4)
                .map(|nth| {
                    scope.spawn({
                        let (met, origin, keys) = (&met, &origin, &keys);
                        move || client(met, origin, keys, nth)
                    })
                })
                .collect();
            let moved = moves(cluster, slot, at_once, &mut took);
            met.stop.store(true, Ordering::Relaxed);
            for client in clients {
                client.join().unwrap_or_else(|_| bail!("a client panicked"))?;
            }
            moved
        })?;
        let (longest, refused) = (*lock(&met.longest), *lock(&met.refused));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let row = |what: &str, value| costs(format!("slot of {KEYS} keys moved {name}: {what}"), value, "ms");
        table.add_row([
            name.to_owned(),
            report.add(row("longest of all moves", ms(took))),
            report.add(row("longest strong read", ms(longest[0])).requires(MOST_MS)),
            report.add(row("longest write", ms(longest[1])).requires(MOST_MS)),
            format!("{}, {}", refused[0], refused[1]),
        ]);
    }
    let notes = format!(
        "The slot has {KEYS} keys of {BYTES} bytes and moves {MOVES} times under two readers and two writers of keys in it. A call \
         that is refused (503) is repeated, and its time goes on."
    );
    Report::print("Slots that move", &table, &notes);
    Ok(())
}

/// Keys of one shard, its slot filled up. What is asked for is written last: some engines move the newest first, so
/// that it waits longest.
fn fill(cluster: &RedisCluster, origin: &str) -> Result<(u16, Vec<String>)> {
    let agent = agent();
    let write = |key: &str| -> Result<()> {
        let status = put(&agent, origin, key)?;
        ensure!(status < 300, "a write was answered with {status}");
        Ok(())
    };
    // Of these, those count that lie in the shard of the first.
    let candidates: Vec<String> = (0..400).map(|n| format!("slots/{n}")).collect();
    candidates.iter().try_for_each(|key| write(key))?;
    let name = |key: &str| -> Result<Option<(usize, String)>> {
        for shard in cluster.shards()? {
            let names: Vec<String> = cluster.ask(shard.master, &["KEYS", &format!("*}}/{key}")])?;
            if let Some(name) = names.into_iter().next() {
                return Ok(Some((shard.master, name)));
            }
        }
        Ok(None)
    };
    let (master, first) = name("slots/0")?.context("a key that was written is nowhere")?;
    let tag = first.split_inclusive('}').next().context("a name without a tag")?.to_owned();
    let names: Vec<String> = cluster.ask(master, &["KEYS", &format!("{tag}/slots/*")])?;
    let keys: Vec<String> = names.iter().filter_map(|name| Some(name.strip_prefix(&tag)?[1..].to_owned())).collect();
    ensure!(keys.len() >= 4, "only {keys:?} are in one slot");
    let value = "x".repeat(BYTES);
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let mut words = vec!["MSET".to_owned()];
        words.extend(chunk.iter().flat_map(|n| [format!("{tag}filler/{n}"), value.clone()]));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        cluster.ask::<String>(master, &words)?;
    }
    keys.iter().try_for_each(|key| write(key))?;
    Ok((cluster.slot_of(&tag)?, keys))
}

fn moves(cluster: &RedisCluster, slot: u16, at_once: Option<usize>, took: &mut Duration) -> Result<()> {
    std::thread::sleep(QUIET);
    let from = cluster.master_of(slot)?;
    let others = cluster.shards()?.into_iter().map(|shard| shard.master);
    let other = others.into_iter().find(|&master| master != from).context("there is one master")?;
    for to in [other, from].into_iter().cycle().take(MOVES) {
        let start = Instant::now();
        match at_once {
            Some(at_once) => cluster.begin_move(slot, to)?.finish(at_once, Duration::ZERO)?,
            None => cluster.move_atomically(&[slot], to)?,
        }
        *took = start.elapsed().max(*took);
        std::thread::sleep(QUIET);
        cluster.wait_until_whole()?;
    }
    Ok(())
}

/// Reads (even) or writes (odd) one key after the other, each until it succeeds.
fn client(met: &Met, origin: &str, keys: &[String], nth: usize) -> Result<()> {
    let agent = agent();
    let writes = nth % 2;
    for key in keys.iter().cycle().skip(nth) {
        if met.stop.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        loop {
            let status = match writes {
                0 => agent.get(format!("{}&consistency=strong", keymap_url(origin, key))).call()?.status().as_u16(),
                _ => put(&agent, origin, key)?,
            };
            match status {
                200..300 => break,
                503 => lock(&met.refused)[writes] += 1,
                status => bail!("{key} was answered with {status}"),
            }
        }
        let took = start.elapsed();
        let mut longest = lock(&met.longest);
        longest[writes] = longest[writes].max(took);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

fn put(agent: &ureq::Agent, origin: &str, key: &str) -> Result<u16> {
    let request = agent.put(keymap_url(origin, key)).header("content-type", "application/json");
    Ok(request.send(r#"{"locator":"somewhere"}"#)?.status().as_u16())
}
