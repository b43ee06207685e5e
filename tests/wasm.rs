//! The golden vectors inside the wasm build: placement there must be the native one, bit for bit.
//!
//! Runs in Node, and with `WASM_BINDGEN_USE_BROWSER=1` in a headless browser.
#![cfg(target_arch = "wasm32")]

#[path = "golden/check.rs"]
mod check;

use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn keys() {
    check::keys(include_str!("golden/keys.json"));
}

#[wasm_bindgen_test]
fn hashes() {
    check::hashes(include_str!("golden/xxh3.json"));
}

#[wasm_bindgen_test]
fn maps() {
    check::maps(include_str!("golden/maps.json"));
}

#[wasm_bindgen_test]
fn placement() {
    check::placement(include_str!("golden/maps.json"), include_str!("golden/placement.json"));
}

#[wasm_bindgen_test]
fn batches() {
    check::batches(include_str!("golden/batches.json"));
}

#[wasm_bindgen_test]
fn feeds() {
    check::feeds(include_str!("golden/feeds.json"));
}

#[wasm_bindgen_test]
fn models() {
    check::models(include_str!("golden/models.json"));
}

#[wasm_bindgen_test]
fn protocol() {
    check::protocol(include_str!("golden/protocol.json"));
}
