//! SIGKILL during writes: no acknowledged write is lost, none is invented.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use crate::binary::Process;
use crate::client::Client;

const KILLS: u32 = 50;
const WRITERS: usize = 6;
const KEYS_PER_WRITER: u64 = 4;
const SEED: u64 = 0x5eed_2026;

/// Knowledge that a writer has of one key.
#[derive(Default)]
struct Known {
    /// Locator of every write that was sent -> its version, once acknowledged.
    sent: BTreeMap<String, Option<u64>>,
    /// Deletions sent, and those acknowledged.
    markers: Vec<Option<u64>>,
    /// Highest version acknowledged.
    newest: u64,
    /// The write whose answer never came, to be retried under the same id.
    open: Option<Open>,
}

#[derive(Clone)]
struct Open {
    id: String,
    /// `None` deletes.
    locator: Option<String>,
}

type Book = BTreeMap<String, Known>;

/// splitmix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Performs `write` once; `Err` where the outcome is not known.
async fn send(client: &Client, url: &str, write: &Open) -> Result<Option<u64>, ()> {
    let id = ("foremap-write-id", write.id.as_str());
    let reply = match &write.locator {
        Some(locator) => {
            let body = serde_json::json!({ "locator": locator }).to_string();
            client.try_send(Method::PUT, url, &[("content-type", "application/json"), id], body).await
        }
        None => client.try_send(Method::DELETE, url, &[id], "").await,
    };
    match reply {
        Some(reply) if reply.status.is_success() => Ok(reply.json()["version"].as_u64()),
        Some(reply) if reply.status == StatusCode::NOT_FOUND => Ok(None),
        _ => Err(()),
    }
}

fn note(known: &mut Known, write: &Open, version: Option<u64>) {
    if let Some(version) = version {
        assert!(version > known.newest, "versions of a key ascend");
        known.newest = version;
        match &write.locator {
            Some(locator) => drop(known.sent.insert(locator.clone(), Some(version))),
            None => known.markers.push(Some(version)),
        }
    }
}

/// Writes its own keys, one write at a time, until the node is gone.
async fn write(client: Client, url: String, mut book: Book, round: u32, seed: u64, acked: Arc<AtomicUsize>) -> Book {
    let mut random = Random(seed);
    for n in 0_u32.. {
        let keys: Vec<String> = book.keys().cloned().collect();
        let key = &keys[random.below(keys.len() as u64) as usize];
        let id = format!("{round}-{n}");
        let locator = (random.below(8) != 0).then(|| format!("{key}-{round}-{n}"));
        let write = Open { id, locator };
        let known = book.get_mut(key).expect("one of its keys");
        if let Some(locator) = &write.locator {
            known.sent.insert(locator.clone(), None);
        }
        known.open = Some(write.clone());
        match send(&client, &format!("{url}/v1/keymap?key={key}"), &write).await {
            Ok(version) => {
                known.open = None;
                note(known, &write, version);
                acked.fetch_add(1, Ordering::Relaxed);
            }
            Err(()) => return book,
        }
    }
    book
}

/// Compares what is stored of `key` with what its writer knows.
async fn verify(client: &Client, origin: &str, key: &str, known: &mut Known) {
    let versions = client.get(&format!("{origin}/v1/versions?key={key}")).await;
    let items = match versions.status {
        StatusCode::OK => versions.json()["items"].as_array().expect("items").clone(),
        _ => {
            assert_eq!(versions.code(), "NOT_FOUND");
            Vec::new()
        }
    };
    let stored: Vec<(u64, Option<String>)> = items
        .iter()
        .map(|item| {
            let locator = item["keymap"]["locator"].as_str().map(str::to_owned);
            (item["version"].as_u64().expect("a version"), locator)
        })
        .collect();
    let oldest = if stored.len() == 100 { stored[99].0 } else { 0 };
    // None lost: every acknowledged write within the retention is there, with its own content.
    let lost = |version: u64, locator: Option<&String>| {
        version >= oldest && !stored.iter().any(|(v, l)| *v == version && l.as_ref() == locator)
    };
    for (locator, version) in &known.sent {
        assert!(!version.is_some_and(|version| lost(version, Some(locator))), "{key}: lost {locator}");
    }
    assert!(!known.markers.iter().flatten().any(|&version| lost(version, None)), "{key}: lost a deletion");
    // None invented: whatever is there was sent, and unacknowledged only if it was the last of its writer.
    for (version, locator) in &stored {
        let open = known.open.as_ref().is_some_and(|open| open.locator == *locator);
        let told = match locator {
            Some(locator) => known.sent.get(locator) == Some(&Some(*version)),
            None => known.markers.contains(&Some(*version)),
        };
        assert!(told || (open && *version > known.newest), "{key}: invented {version} {locator:?}");
    }
    // The current value is the newest version.
    let get = client.get(&format!("{origin}/v1/keymap?key={key}&consistency=strong")).await;
    match stored.first() {
        Some((version, Some(_))) => assert_eq!(get.json()["version"].as_u64(), Some(*version), "{key}"),
        _ => assert_eq!(get.code(), "NOT_FOUND", "{key}"),
    }
    // A retry tells what became of the write without an answer, and does it exactly once.
    if let Some(open) = known.open.take() {
        let happened = stored.first().filter(|(version, _)| *version > known.newest).map(|(version, _)| *version);
        let version = send(client, &format!("{origin}/v1/keymap?key={key}"), &open).await.expect("an answer");
        if happened.is_some() {
            assert_eq!(version, happened, "{key}: a retry wrote again");
        }
        note(known, &open, version);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_invented() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("s");
    let mut random = Random(SEED);
    let book =
        |writer| -> Book { (0..KEYS_PER_WRITER).map(|k| (format!("w/{writer}/{k}"), Known::default())).collect() };
    let mut books: Vec<Book> = (0..WRITERS).map(book).collect();
    let acked = Arc::new(AtomicUsize::new(0));
    let mut killed_in_flight = 0;
    for round in 0..=KILLS {
        let mut process = Process::dev(&store, 2, &[]);
        let client = Client::new();
        for book in &mut books {
            for (key, known) in book {
                verify(&client, &process.origins[0], key, known).await;
            }
        }
        if round == KILLS {
            break;
        }
        let spawn = |(at, book): (usize, Book)| {
            let origin = process.origins[at % 2].clone();
            let seed = SEED ^ (u64::from(round) << 8) ^ at as u64;
            tokio::spawn(write(client.clone(), origin, book, round, seed, acked.clone()))
        };
        let writers: Vec<_> = books.drain(..).enumerate().map(spawn).collect();
        tokio::time::sleep(Duration::from_millis(5 + random.below(150))).await;
        // SIGKILL, on Unix.
        process.child.kill().expect("alive");
        process.child.wait().expect("a child");
        for writer in writers {
            books.push(writer.await.expect("a writer"));
        }
        killed_in_flight += books.iter().flat_map(Book::values).filter(|known| known.open.is_some()).count();
    }
    let acked = acked.load(Ordering::Relaxed);
    eprintln!("{KILLS} kills, {acked} acknowledged writes, {killed_in_flight} in flight at a kill");
    // A test that wrote nothing would prove nothing.
    assert!(acked > 20 * KILLS as usize && killed_in_flight > KILLS as usize);
}
