//! Load on a gateway, or on Redis beside it: one closed loop per connection, one line of JSON about what was measured.
//!
//! Each connection has a thread of its own, so that the HTTP client and the Redis client wait in the same way.
//! `cargo xtask bench gateway` runs it.
#![allow(clippy::print_stdout, reason = "its one line is its result")]

mod feeds;
mod fill;
mod gateway;
mod get;
mod keys;
mod laps;
mod memory;
mod overload;
mod pipeline;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::feeds::Feeds;
use crate::fill::Fill;
use crate::gateway::{Batch, Put};
use crate::get::Get;
use crate::memory::Memory;
use crate::overload::Overload;
use crate::pipeline::Pipeline;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "foremap-load", about = "Load on a gateway, or on Redis beside it", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Load,
}

#[derive(Subcommand)]
enum Load {
    /// One key, again and again
    Get(Get),
    /// Batches of keys below one prefix, in the binary form
    Batch(Batch),
    /// Writes
    Put(Put),
    /// Each key of a set, once: written, or read in batches
    Fill(Fill),
    /// Memory that an entry takes in a node
    Memory(Memory),
    /// GETs pipelined through a Redis Cluster client
    Pipeline(Pipeline),
    /// Change feeds that are only listened to
    Feeds(Feeds),
    /// Everything that keeps a gateway from its work
    Overload(Overload),
}

fn main() -> Result<()> {
    let line = match Cli::parse().command {
        Load::Get(get) => serde_json::to_string(&get.run()?)?,
        Load::Batch(batch) => serde_json::to_string(&batch.run()?)?,
        Load::Put(put) => serde_json::to_string(&put.run()?)?,
        Load::Fill(fill) => serde_json::to_string(&fill.run()?)?,
        Load::Memory(memory) => serde_json::to_string(&memory.run()?)?,
        Load::Pipeline(pipeline) => serde_json::to_string(&pipeline.run()?)?,
        Load::Overload(overload) => serde_json::to_string(&overload.run()?)?,
        Load::Feeds(feeds) => serde_json::to_string(&feeds.run()?)?,
    };
    println!("{line}");
    Ok(())
}
