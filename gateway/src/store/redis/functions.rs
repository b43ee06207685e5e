//! The functions that write, as commands.

use ::redis::Cmd;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::Keymap;

use super::keys::{INDEX, Keyspace, LOG, Place, STATE};
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
    let place = Place::Shard(shard);
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
    let mut command = call("remove", &[newest, older, keys.key(Place::Shard(shard), STATE)]);
    command.arg(version);
    command
}

/// Lists a part of a shard. It reads only, yet runs on the master, where the fence is.
pub(super) fn list(keys: &Keyspace, shard: u16, prefix: &KeyPrefix, after: Option<&CompositeKey>, limit: usize) -> Cmd {
    let after = after.map(CompositeKey::as_str);
    let own = prefix.depth() > 0 && after.is_none_or(|after| after < prefix.as_str());
    let from = match after {
        Some(after) if after >= prefix.slashed() => format!("({after}"),
        _ => format!("[{}", prefix.slashed()),
    };
    // Canonical keys contain no byte below 0x20, and `0` follows `/`.
    let to = prefix.slashed().strip_suffix('/').map_or("+".into(), |text| format!("({text}0"));
    let mut command = ::redis::cmd("FCALL_RO");
    command.arg("foremap_1_list").arg(1).arg(keys.key(Place::Shard(shard), INDEX)).arg(keys.newest_prefix(shard));
    command.arg(if own { prefix.as_str() } else { "" }).arg(from).arg(to).arg(limit);
    command
}
