//! The functions that write, as commands.

use ::redis::Cmd;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::Keymap;

use super::keys::{INDEX, KeyPlace, Keyspace, LOG, STATE};
use super::options::RedisOptions;
use crate::store::record::encode_body;
use crate::store::{Expect, Write, WriteId};

/// The library. Its name carries the version of the format: gateways of two versions use one each.
const LIBRARY: &str = include_str!("functions.lua");

/// Loads the library, in place of an earlier text of the same version.
pub(super) fn load() -> Cmd {
    let mut command = ::redis::cmd("FUNCTION");
    command.arg("LOAD").arg("REPLACE").arg(LIBRARY);
    command
}

/// A call of `function` with `keys`; arguments follow.
pub(super) fn call(function: &str, keys: &[String]) -> Cmd {
    let mut command = ::redis::cmd("FCALL");
    command.arg(format!("foremap_1_{function}")).arg(keys.len()).arg(keys);
    command
}

/// Performs `write`, by a clock that shows `latest_us` at most.
pub(super) fn write(keys: &Keyspace, shard: u16, write: &Write, options: &RedisOptions, latest_us: u64) -> Cmd {
    let text = write.key.as_str();
    let place = KeyPlace::Shard(shard);
    let shared = [INDEX, LOG, STATE].map(|name| keys.key(place, name));
    let names = [&[keys.newest(shard, text), keys.older(shard, text)], &shared[..]].concat();
    let expect = match write.expect {
        Expect::Any => String::new(),
        Expect::Present => "present".into(),
        Expect::Version(version) => version.to_string(),
    };
    // The version is not known before the function gives it out: it stands in front of the record.
    let keymap = write.fields.clone().map(|fields| Keymap { key: write.key.clone(), version: 0, fields });
    let mut command = call("write", &names);
    command.arg(text).arg(expect).arg(write.id.as_ref().map_or("", WriteId::as_str));
    command.arg(if keymap.is_none() { "1" } else { "0" }).arg(encode_body(write.id.as_ref(), keymap.as_ref()));
    command.arg(options.versions.max(1)).arg(options.log_entries.max(1)).arg(latest_us);
    command
}

/// Removes a version of `key`.
pub(super) fn remove(keys: &Keyspace, shard: u16, key: &CompositeKey, version: u64) -> Cmd {
    let (newest, older) = (keys.newest(shard, key.as_str()), keys.older(shard, key.as_str()));
    let mut command = call("remove", &[newest, older, keys.key(KeyPlace::Shard(shard), STATE)]);
    command.arg(version);
    command
}

/// The names of live keys of a shard below `prefix` and after `after`: whether the prefix itself is one (its score), and
/// up to `limit` others in order. Each of the two commands names one key, as those do that read what was found: so they are
/// answered while the slot is being moved.
pub(super) fn names(keys: &Keyspace, shard: u16, prefix: &KeyPrefix, after: Option<&str>, limit: usize) -> [Cmd; 2] {
    let index = keys.key(KeyPlace::Shard(shard), INDEX);
    // The prefix as a key of its own sorts before everything below it, but not next to it: `a`, `a!`, `a/b`.
    let is_own = prefix.depth() > 0 && after.is_none_or(|after| after < prefix.as_str());
    let from = match after {
        Some(after) if after >= prefix.slashed() => format!("({after}"),
        _ => format!("[{}", prefix.slashed()),
    };
    // Canonical keys contain no byte below 0x20, and `0` follows `/`.
    let to = prefix.slashed().strip_suffix('/').map_or("+".into(), |text| format!("({text}0"));
    let (mut own, mut below) = (::redis::cmd("ZSCORE"), ::redis::cmd("ZRANGEBYLEX"));
    // No key is empty.
    own.arg(&index).arg(if is_own { prefix.as_str() } else { "" });
    below.arg(&index).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit);
    [own, below]
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
