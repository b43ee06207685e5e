//! The golden vectors natively, and their generator.
//!
//! Wire forms, placement and error codes are promises to every client ever
//! shipped, so a change that alters one of these files is a new format version,
//! not a new expectation. `FOREMAP_BLESS=1 cargo test --test golden` writes
//! them anew.
#![cfg(not(target_arch = "wasm32"))]

#[path = "golden/check.rs"]
mod check;
#[path = "golden/generate.rs"]
mod generate;

use std::path::Path;
use std::sync::Once;

fn file(name: &str) -> String {
    static BLESS: Once = Once::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    BLESS.call_once(|| {
        if std::env::var_os("FOREMAP_BLESS").is_some_and(|value| value == "1") {
            for (name, text) in generate::all() {
                std::fs::write(folder.join(name), text).expect("tests/golden is writable");
            }
        }
    });
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn keys() {
    check::keys(&file("keys.json"));
}

#[test]
fn hashes() {
    check::hashes(&file("xxh3.json"));
}

#[test]
fn maps() {
    check::maps(&file("maps.json"));
}

#[test]
fn placement() {
    check::placement(&file("maps.json"), &file("placement.json"));
}

#[test]
fn batches() {
    check::batches(&file("batches.json"));
}

#[test]
fn feeds() {
    check::feeds(&file("feeds.json"));
}

#[test]
fn models() {
    check::models(&file("models.json"));
}

#[test]
fn protocol() {
    check::protocol(&file("protocol.json"));
}
