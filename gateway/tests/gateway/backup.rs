//! Backups of the real binary: taken while it is written to, restored, checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use axum::http::{Method, StatusCode};
use foremap_check::{Final, Found, History, Kept, Outcome, Write};

use crate::binary::{Process, command};
use crate::client::Client;

const WRITERS: u64 = 4;
const KEYS: u64 = 5;
/// Less than the store keeps of a key, so that all versions are there to be looked at.
const MOST_WRITES: u64 = 90 * KEYS;

/// Writes of one writer, one after the other.
type Log = Vec<Write>;

async fn write(origin: String, writer: u64, since: Instant, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> Log {
    let client = Client::new();
    let mut log = Log::new();
    let now = || since.elapsed().as_micros() as u64;
    for n in 0..MOST_WRITES {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("w/{writer}/{}", n % KEYS);
        let url = format!("{origin}/v1/keymap?key={key}");
        let invoked = now();
        // Every tenth deletes what the one before has put.
        let value = (n % 10 != 9).then(|| format!("{writer}-{n}"));
        let reply = match &value {
            Some(value) => client.put(&url, value).await,
            None => client.send(Method::DELETE, &url, &[], "").await,
        };
        assert!(reply.status.is_success(), "{reply:?}");
        let outcome = Outcome::Acknowledged { version: reply.json()["version"].as_u64().expect("a version") };
        let value = value.map(Arc::from);
        log.push(Write { key: key.into(), session: writer, value, invoked, returned: now(), outcome });
        count.fetch_add(1, Ordering::Relaxed);
    }
    log
}

fn run(args: &[&str]) -> Output {
    command().args(args).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Fetches what is stored of `key`.
async fn stored(client: &Client, origin: &str, key: &str) -> Final {
    let versions = client.get(&format!("{origin}/v1/versions?key={key}")).await;
    let items = match versions.status {
        StatusCode::OK => versions.json()["items"].as_array().expect("items").clone(),
        _ => Vec::new(),
    };
    let kept = |item: &serde_json::Value| Kept {
        version: item["version"].as_u64().expect("a version"),
        value: item["keymap"]["locator"].as_str().map(Arc::from),
    };
    let get = client.get(&format!("{origin}/v1/keymap?key={key}&consistency=strong")).await;
    let newest = (get.status == StatusCode::OK).then(|| Found {
        version: get.json()["version"].as_u64().expect("a version"),
        value: get.json()["locator"].as_str().expect("a locator").into(),
    });
    Final { key: key.into(), newest, kept: items.iter().map(kept).collect(), retention: 100 }
}

/// History that `logs` tell of a backup taken from `from` to `to`: what had ended before is in it, what began later is
/// not, and of the rest nobody can tell.
fn history(logs: &[Log], from: u64, to: u64, finals: Vec<Final>) -> History {
    let before = logs.iter().flatten().filter(|write| write.invoked <= to);
    let known = |write: &Write| match write.returned <= from {
        true => write.clone(),
        false => Write { outcome: Outcome::Unknown, ..write.clone() },
    };
    History { writes: before.map(known).collect(), finals, ..History::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_load_restores_to_one_moment_of_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("s");
    let process = Process::dev(&store, 2, &[]);
    let (since, stop, count) = (Instant::now(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let spawn = |writer: u64| {
        let origin = process.origins[writer as usize % 2].clone();
        tokio::spawn(write(origin, writer, since, stop.clone(), count.clone()))
    };
    let writers: Vec<_> = (0..WRITERS).map(spawn).collect();
    let mut backups = Vec::new();
    for at in 0..4_u64 {
        while count.load(Ordering::Relaxed) < at * WRITERS * MOST_WRITES / 5 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let file = dir.path().join(format!("b{at}"));
        let (origin, to) = (process.origins[0].clone(), file.clone());
        let from = since.elapsed().as_micros() as u64;
        let made = tokio::task::spawn_blocking(move || run(&["backup", "--origin", &origin, text(&to)]));
        let made = made.await.expect("run");
        assert!(made.status.success(), "{}", said(&made));
        backups.push((file, from, since.elapsed().as_micros() as u64));
    }
    stop.store(true, Ordering::Relaxed);
    let mut logs = Vec::new();
    for writer in writers {
        logs.push(writer.await.expect("a writer"));
    }
    drop(process);
    let mut sizes = Vec::new();
    for (file, from, to) in &backups {
        let checked = run(&["check", text(file)]);
        assert!(checked.status.success() && said(&checked).contains("is well"), "{}", said(&checked));
        let restored = file.with_extension("restored");
        let done = run(&["restore", text(file), "--store", text(&restored)]);
        assert!(done.status.success(), "{}", said(&done));
        let checked = run(&["check", text(&restored)]);
        assert!(checked.status.success(), "{}", said(&checked));
        let process = Process::dev(&restored, 1, &[]);
        let client = Client::new();
        let mut finals = Vec::new();
        for (writer, key) in (0..WRITERS).flat_map(|writer| (0..KEYS).map(move |key| (writer, key))) {
            finals.push(stored(&client, &process.origins[0], &format!("w/{writer}/{key}")).await);
        }
        // One moment for all keys: of what a writer did one after the other, the beginning is there.
        for log in &logs {
            let has = |write: &Write| {
                let Outcome::Acknowledged { version } = write.outcome else { return false };
                let of_key = finals.iter().find(|end| end.key == write.key).expect("looked at");
                of_key.kept.iter().any(|kept| kept.version == version && kept.value == write.value)
            };
            let there: Vec<bool> = log.iter().map(has).collect();
            assert!(there.is_sorted_by(|before, after| before >= after), "{there:?}");
        }
        sizes.push(finals.iter().map(|end| end.kept.len()).sum::<usize>());
        let summary = foremap_check::check(&history(&logs, *from, *to, finals)).expect("a state that was");
        assert_eq!(summary.finals as u64, WRITERS * KEYS);
        // It goes on from there.
        let put = client.put(&format!("{}/v1/keymap?key=w/0/0", process.origins[0]), "new").await;
        assert!(put.status.is_success());
    }
    // Each of another moment, or nothing was proved.
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_named_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, file, other) = (dir.path().join("s"), dir.path().join("b"), dir.path().join("other"));
    let mut process = Process::dev(&store, 1, &[]);
    let client = Client::new();
    for n in 0..50 {
        client.put(&process.url(1, &format!("/v1/keymap?key=a/{n}")), "x").await;
    }
    let locked = run(&["check", text(&store)]);
    assert!(locked.status.code() == Some(1) && said(&locked).contains("in use"), "{}", said(&locked));
    assert!(run(&["backup", "--origin", &process.origins[0], text(&file)]).status.success());
    let before: serde_json::Value = client.get(&process.url(1, "/readyz")).await.json();
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    assert!(run(&["check", text(&store)]).status.success());

    let taken = run(&["restore", text(&file), "--store", text(&store)]);
    assert!(taken.status.code() == Some(2) && said(&taken).contains("is there already"), "{}", said(&taken));
    let good = std::fs::read(&file).expect("readable");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    for (content, what) in [(&bad[..], "is damaged"), (&good[..middle], "cut short"), (b"nonsense", "")] {
        std::fs::write(&file, content).expect("writable");
        let checked = run(&["check", text(&file)]);
        assert!(checked.status.code() == Some(1) && said(&checked).contains(what), "{}", said(&checked));
        let refused = run(&["restore", text(&file), "--store", text(&other)]);
        assert!(refused.status.code() == Some(2) && !other.exists(), "{}", said(&refused));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 2, "nothing is left behind");
    }
    std::fs::write(&file, &good).expect("writable");
    assert!(run(&["restore", text(&file), "--store", text(&other)]).status.success());
    // Clients that have seen the store since then take it for a new one.
    let mut process = Process::dev(&other, 1, &[]);
    let after: serde_json::Value = client.get(&process.url(1, "/readyz")).await.json();
    let incarnation = |ready: &serde_json::Value| ready["epoch"]["incarnation"].as_u64().expect("a number");
    assert!(incarnation(&after) > incarnation(&before), "{before} {after}");
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));

    let mut damaged = std::fs::read(&other).expect("readable");
    // A bit of every page that has something in it, behind the headers.
    for page in damaged.chunks_mut(4_096).skip(3).filter(|page| page.iter().any(|&byte| byte != 0)) {
        page[100] ^= 1;
    }
    std::fs::write(&store, &damaged).expect("writable");
    let checked = run(&["check", text(&store)]);
    assert!(checked.status.code() == Some(1) && said(&checked).contains("damaged"), "{}", said(&checked));
    let nothing = run(&["check", text(&dir.path().join("nothing"))]);
    assert_eq!(nothing.status.code(), Some(2), "{}", said(&nothing));
}

#[tokio::test]
async fn a_backup_takes_a_token_for_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let (key, file) = (dir.path().join("key"), dir.path().join("b"));
    crate::binary::write_key(&key, "0123456789abcdef0123456789abcdef");
    let process = Process::dev(&dir.path().join("s"), 1, &["--token-key", text(&key)]);
    let mut outcomes = BTreeMap::new();
    for (verbs, prefix) in [("get,list", ""), ("admin", "a"), ("admin", "")] {
        let token = run(&["token", "--key", text(&key), "--verbs", verbs, "--prefix", prefix]);
        let kept = dir.path().join("token");
        std::fs::write(&kept, said(&token)).expect("written");
        let made = run(&["backup", "--origin", &process.origins[0], "--token-file", text(&kept), text(&file)]);
        outcomes.insert((verbs, prefix), (made.status.code(), said(&made).contains("FORBIDDEN"), file.exists()));
    }
    assert_eq!(outcomes[&("get,list", "")], (Some(2), true, false));
    assert_eq!(outcomes[&("admin", "a")], (Some(2), true, false));
    assert_eq!(outcomes[&("admin", "")], (Some(0), false, true));
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_hold_secrets_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let (store, file, key) = (dir.path().join("s"), dir.path().join("b"), dir.path().join("key"));
    let process = Process::dev(&store, 1, &[]);
    assert!(run(&["backup", "--origin", &process.origins[0], text(&file)]).status.success());
    let restored = dir.path().join("r");
    assert!(run(&["restore", text(&file), "--store", text(&restored)]).status.success());
    for path in [&store, &file, &restored] {
        let mode = std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    std::fs::write(&key, [b'k'; 32]).expect("writable");
    for (mode, is_fine) in [(0o644, false), (0o604, false), (0o640, true), (0o600, true), (0o400, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        let signed = run(&["token", "--key", text(&key), "--verbs", "get", "--prefix", ""]);
        assert_eq!(signed.status.success(), is_fine, "{mode:o}: {}", said(&signed));
        assert!(is_fine || said(&signed).contains("chmod 600"), "{}", said(&signed));
    }
    std::fs::write(dir.path().join("empty"), "").expect("writable");
    let empty = dir.path().join("empty");
    crate::binary::fails_in_one_line(&["dev", "--port", "0", "--store", text(&empty)], "it is empty");
    assert_eq!(std::fs::metadata(&empty).expect("there").len(), 0, "it is left as it was");
}
