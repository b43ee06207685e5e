//! `foremap-replay`, as it is called.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traces/npm-install.csv.gz");

fn replay(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foremap-replay")).args(args).output().expect("the binary runs")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("written")
}

#[test]
fn it_prints_a_table_and_writes_json_and_a_picture() {
    let dir = tempfile::tempdir().expect("a directory");
    let (json, plot) = (dir.path().join("r.json"), dir.path().join("r.svg"));
    let files = [json.to_str().expect("text"), plot.to_str().expect("text")];
    let baselines = "lru,s3fifo,markov1,ppm2,belady,oracle1";
    let trace = "synthetic:profiles?seed=7&requests=3000";
    let output = replay(&["--baseline", baselines, "--json", files[0], "--plot", files[1], BUNDLED, trace]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    assert_eq!(table.lines().count(), 1 + 2 * 7);
    let rows: Vec<Value> = serde_json::from_str(&text(&json)).expect("JSON");
    let names: Vec<_> = rows.iter().map(|row| (row["trace"].as_str(), row["method"].as_str())).collect();
    let methods = ["foremap", "lru", "s3fifo", "markov1", "ppm2", "belady", "oracle1"];
    let expected = ["npm-install", trace].map(|trace| methods.map(|method| (Some(trace), Some(method))));
    assert_eq!(names, expected.concat());
    let fields: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    let mut expected = vec!["trace", "method", "models", "requests", "unique_keys", "cache_entries", "hit_ratio"];
    expected.extend(["prefetches_per_request", "wasted_per_request", "precision", "novel_coverage"]);
    expected.extend(["calibration_error", "calibration_error_issued", "max_budget_excess", "ns_per_access"]);
    expected.extend(["p99_ns", "peak_bytes"]);
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert!(rows[0].as_object().expect("an object").values().all(|value| !value.is_null()));
    assert_eq!((&rows[0]["requests"], &rows[0]["cache_entries"]), (&8_348.into(), &81.into()));
    assert!(text(&plot).contains("npm-install: reliability"));
}

#[test]
fn clients_that_learn_alone_are_told_from_those_that_do_together() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("r.json");
    let json = path.to_str().expect("text");
    let rows = |options: &[&str]| {
        let output = replay(&[&["--private", "16", "--baseline", "lru", "--json", json], options, &[BUNDLED]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str::<Vec<Value>>(&text(&path)).expect("JSON")
    };
    let plot = dir.path().join("r.svg");
    let (pooled, alone) = (rows(&[]), rows(&["--alone", "--plot", plot.to_str().expect("text")]));
    assert_eq!((&pooled[0]["models"], &alone[0]["models"]), (&"pooled".into(), &"alone".into()));
    assert!(pooled[0]["hit_ratio"].as_f64() > alone[0]["hit_ratio"].as_f64());
    let largest = alone[0]["peak_bytes"].as_u64().expect("bytes");
    assert!((100_000..=1 << 20).contains(&largest), "{largest}");
    let more = ["first_ten_hit_ratio", "max_client_excess", "calibration_error_first"];
    assert!(more.iter().all(|field| pooled[0][field].is_f64()), "{pooled:?}");
    // Alone, no client is given anything in its first requests.
    assert_eq!(more.map(|field| alone[0][field].is_f64()), [true, true, false]);
    let of_lru = ["models", more[2]].map(|field| alone[1].get(field));
    assert_eq!((of_lru, alone[1]["max_client_excess"].is_f64()), ([None, None], true));
    assert!(text(&plot).contains("npm-install: reliability"));
}

#[test]
fn bad_lines_are_reported_and_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "timestamp_ms,client,key\n1,c0,a\nnonsense\n2,c0,a//b\n3,c0,a\n").expect("writable");
    let output = replay(&["--cache", "4", path.to_str().expect("text")]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("2 bad lines left out") && said.contains("t.csv:3: not three fields"), "{said}");
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.lines().nth(1).is_some_and(|row| row.contains(" 50.00 ")), "one hit of two requests: {table}");
}

#[test]
fn what_cannot_be_read_or_written_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    std::fs::write(path("text"), "hello\n").expect("writable");
    let noise = "synthetic:noise?requests=10";
    let cases = [
        (vec![path("none")], "cannot read the trace"),
        (vec![path("text")], "neither"),
        (vec![path("")], "cannot read the trace"),
        (vec!["synthetic:nothing".to_owned()], "no workload"),
        (vec!["--json".to_owned(), path("no/such"), noise.to_owned()], "cannot write"),
        (vec!["--plot".to_owned(), path("no/such"), noise.to_owned()], "cannot write"),
    ];
    for (args, about) in cases {
        let output = replay(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.starts_with("foremap-replay: ") && said.contains(about), "{said}");
    }
    for args in [["--cache", "0"], ["--private", "0"], ["--memory", "8"], ["--baseline", "x"], ["--waste-budget", "-1"]]
    {
        assert_eq!(replay(&[&args[..], &[noise]].concat()).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(replay(&["--alone", noise]).status.code(), Some(2), "without private caches");
    let both = replay(&["--cache", "5%", "--private", "4", noise]);
    assert_eq!(both.status.code(), Some(2));
}
