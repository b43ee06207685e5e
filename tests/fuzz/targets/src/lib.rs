//! Assertions of the fuzz targets.
//!
//! Each function takes arbitrary bytes as a network or a store may deliver them, panics where a promise is broken, and
//! tells whether the bytes were accepted. The binaries in `fuzz_targets` hand them what libFuzzer finds; the test
//! `replay` hands them the seeds and every input that once broke a promise, on any compiler.
//!
//! A new decoder needs a function here with its line in [`TARGETS`], a binary of the same name, and seeds: the test
//! names whatever is missing.

mod client;
mod http;
mod input;
mod keys;
mod maps;
mod models;
mod records;
pub mod seeds;
mod token;
mod wire;

pub use client::adapter;
pub use http::{http, query};
pub use keys::{composite_key, key_prefix};
pub use maps::{map_delta, partition_map, partition_map_json};
pub use models::{handover, merged_counts, model_delta, model_snapshot, summary};
pub use records::{format_record, load_report, member, version_record};
pub use token::token;
pub use wire::{
    batch_request, batch_request_json, batch_response, batch_response_json, feed_reader, keymap, keymap_fields_json,
    keymap_json, list_page, problem_json,
};

/// Asserts everything about one input; whether it was accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, in order of names.
pub const TARGETS: &[(&str, Target)] = &[
    ("adapter", adapter),
    ("batch_request", batch_request),
    ("batch_request_json", batch_request_json),
    ("batch_response", batch_response),
    ("batch_response_json", batch_response_json),
    ("composite_key", composite_key),
    ("feed_reader", feed_reader),
    ("format_record", format_record),
    ("handover", handover),
    ("http", http),
    ("key_prefix", key_prefix),
    ("keymap", keymap),
    ("keymap_fields_json", keymap_fields_json),
    ("keymap_json", keymap_json),
    ("list_page", list_page),
    ("load_report", load_report),
    ("map_delta", map_delta),
    ("member", member),
    ("merged_counts", merged_counts),
    ("model_delta", model_delta),
    ("model_snapshot", model_snapshot),
    ("partition_map", partition_map),
    ("partition_map_json", partition_map_json),
    ("problem_json", problem_json),
    ("query", query),
    ("summary", summary),
    ("token", token),
    ("version_record", version_record),
];
