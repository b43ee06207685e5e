//! `cargo xtask bench capacity`, as it is called.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn capacity(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foremap-bench")).arg("capacity").args(args).output().expect("the binary runs")
}

#[test]
fn it_prints_a_plan_and_writes_it_as_json() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("plan.json");
    let output = capacity(&["--keys", "1e6", "--json", file.to_str().expect("text")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("where this design ends") && text.contains("It takes"), "{text}");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("written")).expect("JSON");
    assert_eq!(json["workload"]["keys"], 1e6);
    assert!(json["plan"]["gateways"].as_f64() >= Some(2.0) && json["plan"]["masters"].as_f64() >= Some(3.0));
    assert_eq!(json["wall"], Value::Null);
    assert!(json["furthest"]["factor"].as_f64() > Some(1.0));
    assert!(json["costs"]["coefficients"]["batch_us"]["row"].is_string());
}

#[test]
fn what_does_not_fit_is_said_in_words() {
    let output = capacity(&["--keys", "1e12"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("It does not fit, whatever the number of machines"), "{text}");
    assert!(text.contains("it would fit"), "{text}");
}

#[test]
fn bad_input_is_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let broken = dir.path().join("broken.json");
    std::fs::write(&broken, r#"{"date":"","machine":"","command":"","coefficients":{}}"#).expect("written");
    let broken = broken.to_str().expect("text");
    let cases: [(&[&str], &str); 5] = [
        (&["--write-share", "1.5"], "--write-share is 1.5, it must be 0 to 1"),
        (&["--keys", "-5"], "--keys is -5, it must be 1 to 1000000000000000"),
        (&["--batch", "NaN"], "--batch is NaN, it must be 1 to 256"),
        (&["--coefficients", broken], "the coefficient `batch_us` is missing"),
        (&["--coefficients", "/nowhere"], "/nowhere: No such file or directory (os error 2)"),
    ];
    for (args, expected) in cases {
        let output = capacity(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("\nerror: {expected}\n"));
    }
}

#[test]
fn the_page_of_the_repository_is_what_the_command_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("capacity.html");
    assert!(capacity(&["--page", page.to_str().expect("text")]).status.success());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../www/capacity.html");
    let read = |path: &Path| std::fs::read_to_string(path).expect("readable");
    let hint = "cargo xtask bench capacity --page www/capacity.html";
    assert!(read(&page) == read(&committed), "the page is out of date: {hint}");
}
