//! Backups of a store file, and what is restored from them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ::redb::{ReadTransaction, ReadableTable as _, WriteTransaction};
use foremap::key::CompositeKey;
use foremap::partition::PartitionMap;
use tokio::sync::mpsc;

use super::error::failed;
use super::handle::Handle;
use super::options::RedbOptions;
use super::records::decode_map;
use super::tables::{CURRENT, LOG, META, META_FORMAT, META_LEASE, META_MAP, META_PROBE, SHARDS, VERSIONS};
use crate::store::backup::{BackupEntry, BackupPart, BackupReader, FULL, PREAMBLE};
use crate::store::record::{decode_format, decode_keymap, decode_version};
use crate::store::{Checked, StoreError};

/// Longest wait for a reader that takes nothing: what it reads from is kept all that time, and the file grows by what is
/// written meanwhile.
const STALLED: Duration = Duration::from_secs(30);
/// Frames in one transaction of a restoration.
const GROUP: usize = 64;

/// Channel that frames go to.
pub(super) type FrameSender = mpsc::Sender<Result<Vec<u8>, StoreError>>;

/// Sends a backup of the file as it is now. Blocks on the disk and on whoever reads it.
pub(super) fn dump(handle: &Handle, begun_us: u64, frames: &FrameSender) {
    let mut out = Out { frames, number: 0, entries: 0, full: Vec::new(), size: 0 };
    // Once: what has been sent cannot be begun anew.
    let outcome = match handle.begin(::redb::ReadableDatabase::begin_read) {
        Ok((_, txn)) => everything(&txn, begun_us, &mut out),
        Err(_) => Err(StoreError::Unavailable("the file is not open".into())),
    };
    if let Err(error) = outcome {
        tracing::warn!(%error, "a backup was not finished");
        drop(frames.try_send(Err(error)));
    }
}

struct Out<'a> {
    frames: &'a FrameSender,
    number: u64,
    entries: u64,
    full: Vec<BackupEntry>,
    size: usize,
}

impl Out<'_> {
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let sent = tokio::runtime::Handle::current().block_on(self.frames.send_timeout(Ok(bytes), STALLED));
        sent.map_err(|_| StoreError::Unavailable("whoever reads the backup takes no more of it".into()))
    }

    fn part(&mut self, part: &BackupPart) -> Result<(), StoreError> {
        let frame = part.frame(self.number);
        self.number += 1;
        self.send(frame)
    }

    fn entry(&mut self, entry: BackupEntry) -> Result<(), StoreError> {
        self.size += entry.size();
        self.full.push(entry);
        self.entries += 1;
        if self.size < FULL { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.size = 0;
        match std::mem::take(&mut self.full) {
            entries if entries.is_empty() => Ok(()),
            entries => self.part(&BackupPart::Entries(entries)),
        }
    }
}

/// The current keymaps are left out, as each is in its newest version record.
fn everything(txn: &ReadTransaction, begun_us: u64, out: &mut Out<'_>) -> Result<(), StoreError> {
    out.send(PREAMBLE.to_vec())?;
    let meta = txn.open_table(META).map_err(failed)?;
    let format = meta.get(META_FORMAT).map_err(failed)?.map(|bytes| bytes.value().to_vec());
    let format = format.ok_or_else(|| StoreError::Corrupt("the format record is missing".into()))?;
    out.part(&BackupPart::Head { format, begun_us })?;
    for entry in meta.iter().map_err(failed)? {
        let (name, bytes) = entry.map_err(failed)?;
        // Who coordinates does not outlive the file.
        if ![META_FORMAT, META_LEASE, META_PROBE].contains(&name.value()) {
            out.entry(BackupEntry::Meta(name.value().to_owned(), bytes.value().to_vec()))?;
        }
    }
    for entry in txn.open_table(VERSIONS).map_err(failed)?.iter().map_err(failed)? {
        let (place, bytes) = entry.map_err(failed)?;
        let (shard, key, version) = place.value();
        decode_version(version, bytes.value())?;
        out.entry(BackupEntry::Version(shard, key.to_owned(), version, bytes.value().to_vec()))?;
    }
    for entry in txn.open_table(LOG).map_err(failed)?.iter().map_err(failed)? {
        let (place, value) = entry.map_err(failed)?;
        let ((shard, position), (deleted, key)) = (place.value(), value.value());
        out.entry(BackupEntry::Log(shard, position, deleted, key.to_owned()))?;
    }
    for entry in txn.open_table(SHARDS).map_err(failed)?.iter().map_err(failed)? {
        let (shard, state) = entry.map_err(failed)?;
        let (last, base, entries) = state.value();
        out.entry(BackupEntry::Shard(shard.value(), last, base, entries))?;
    }
    out.flush()?;
    let entries = out.entries;
    out.part(&BackupPart::End { entries })
}

/// Makes the store file at `path`, which must not exist, of a backup. The map gets the incarnation `incarnation` or a
/// higher one, as what clients have seen of the store since does not count any more.
///
/// # Errors
/// What is wrong, in words; then there is no file at `path`.
pub(super) fn restore(path: &Path, from: impl Read, incarnation: u32) -> Result<Checked, String> {
    if path.exists() {
        return Err(format!("{} is there already: restore to another place", path.display()));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".restoring");
    let unfinished = Path::new(&name);
    let restored = fill(unfinished, from, incarnation).and_then(|checked| {
        std::fs::rename(unfinished, path).map_err(|error| error.to_string())?;
        // The name is durable with its folder.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| error.to_string())?;
        Ok(checked)
    });
    if restored.is_err() {
        drop(std::fs::remove_file(unfinished));
    }
    restored
}

fn fill(path: &Path, from: impl Read, incarnation: u32) -> Result<Checked, String> {
    let mut parts = BackupReader::new(from)?;
    let Some(BackupPart::Head { format, .. }) = parts.next()? else { return Err("it has no head".into()) };
    let layout = decode_format(&format).map_err(|error| format!("the format record: {error}"))?;
    drop(std::fs::remove_file(path));
    let options = RedbOptions { layout, ..RedbOptions::default() };
    let (handle, _) = Handle::open(path, &options).map_err(|error| error.to_string())?;
    let mut checked = Checked::default();
    let mut is_over = false;
    while !is_over {
        let begun = handle.begin(::redb::Database::begin_write);
        let (_, txn) = begun.map_err(|_| "the new file cannot be written".to_owned())?;
        for _ in 0..GROUP {
            match parts.next()? {
                Some(BackupPart::Entries(entries)) => {
                    add(&txn, entries, incarnation, &mut checked).map_err(|error| error.to_string())?;
                }
                Some(_) => {}
                None => {
                    is_over = true;
                    break;
                }
            }
        }
        txn.commit().map_err(|error| error.to_string())?;
    }
    handle.shut();
    Ok(checked)
}

fn add(
    txn: &WriteTransaction,
    entries: Vec<BackupEntry>,
    incarnation: u32,
    checked: &mut Checked,
) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    let mut current = txn.open_table(CURRENT).map_err(failed)?;
    let mut versions = txn.open_table(VERSIONS).map_err(failed)?;
    let mut log = txn.open_table(LOG).map_err(failed)?;
    let mut shards = txn.open_table(SHARDS).map_err(failed)?;
    for entry in entries {
        match entry {
            BackupEntry::Meta(name, bytes) if name == META_MAP => {
                let mut map = decode_map(&bytes)?;
                raise(&mut map, incarnation);
                meta.insert(META_MAP, map.encode().as_slice()).map_err(failed)?;
            }
            BackupEntry::Meta(name, bytes) => _ = meta.insert(name.as_str(), bytes.as_slice()).map_err(failed)?,
            BackupEntry::Version(shard, key, version, bytes) => {
                // In order of versions, so the last one is the current one.
                match decode_version(version, &bytes)?.keymap {
                    Some(keymap) => current.insert((shard, key.as_str()), keymap.encode().as_slice()),
                    None => current.remove((shard, key.as_str())),
                }
                .map_err(failed)?;
                versions.insert((shard, key.as_str(), version), bytes.as_slice()).map_err(failed)?;
                checked.versions += 1;
            }
            BackupEntry::Log(shard, position, deleted, key) => {
                log.insert((shard, position), (deleted, key.as_str())).map_err(failed)?;
                checked.log_entries += 1;
            }
            BackupEntry::Shard(shard, last, base, entries) => {
                shards.insert(shard, (last, base, entries)).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// A store that takes the place of another one has a later incarnation.
fn raise(map: &mut PartitionMap, incarnation: u32) {
    map.epoch.incarnation = incarnation.max(map.epoch.incarnation.saturating_add(1));
    map.epoch.number = 1;
}

/// Reads everything in the file, and holds its parts against each other.
///
/// # Errors
/// What is wrong first.
pub(super) fn check(handle: &Handle) -> Result<Checked, StoreError> {
    handle.read(|txn| {
        let mut checked = Checked::default();
        let mut tops = BTreeMap::new();
        let live = check_versions(txn, &mut tops, &mut checked)?;
        check_current(txn, &mut checked)?;
        if checked.keys != live {
            let why = format!("{} keys have a keymap, and by their versions {live} should", checked.keys);
            return Err(StoreError::Corrupt(why));
        }
        check_logs(txn, tops, &mut checked)?;
        Ok(checked)
    })
}

/// The highest position of each shard.
type Tops = BTreeMap<u16, u64>;

/// Says how many keys have a keymap, by their newest versions.
fn check_versions(txn: &ReadTransaction, tops: &mut Tops, checked: &mut Checked) -> Result<u64, StoreError> {
    let mut newest: Option<(u16, String)> = None;
    // Of the keys before, and of the one that is being read.
    let (mut live, mut lives) = (0, false);
    for entry in txn.open_table(VERSIONS).map_err(failed)?.iter().map_err(failed)? {
        let (place, bytes) = entry.map_err(failed)?;
        let (shard, key, version) = place.value();
        let record = decode_version(version, bytes.value())?;
        if CompositeKey::parse(key).is_err() || record.keymap.as_ref().is_some_and(|map| map.key.as_str() != key) {
            return Err(StoreError::Corrupt(format!("a version of `{key}` is of another key")));
        }
        if newest.as_ref().is_none_or(|(at, name)| (*at, name.as_str()) != (shard, key)) {
            live += u64::from(lives);
            newest = Some((shard, key.to_owned()));
        }
        lives = record.keymap.is_some();
        let top = tops.entry(shard).or_default();
        *top = version.max(*top);
        checked.versions += 1;
    }
    Ok(live + u64::from(lives))
}

fn check_current(txn: &ReadTransaction, checked: &mut Checked) -> Result<(), StoreError> {
    for entry in txn.open_table(CURRENT).map_err(failed)?.iter().map_err(failed)? {
        let (place, bytes) = entry.map_err(failed)?;
        let (keymap, (_, key)) = (decode_keymap(bytes.value())?, place.value());
        if keymap.key.as_str() != key {
            return Err(StoreError::Corrupt(format!("the keymap of `{key}` is of another key")));
        }
        checked.keys += 1;
    }
    Ok(())
}

fn check_logs(txn: &ReadTransaction, mut tops: Tops, checked: &mut Checked) -> Result<(), StoreError> {
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for entry in txn.open_table(LOG).map_err(failed)?.iter().map_err(failed)? {
        let (place, value) = entry.map_err(failed)?;
        let ((shard, position), (_, key)) = (place.value(), value.value());
        if CompositeKey::parse(key).is_err() {
            return Err(StoreError::Corrupt(format!("the log of shard {shard} has no key at {position}")));
        }
        let top = tops.entry(shard).or_default();
        *top = position.max(*top);
        *counts.entry(shard).or_default() += 1;
        checked.log_entries += 1;
    }
    let shards = txn.open_table(SHARDS).map_err(failed)?;
    for (shard, top) in tops {
        let (last, _, entries) = shards.get(shard).map_err(failed)?.map(|state| state.value()).unwrap_or_default();
        let counted = counts.get(&shard).copied().unwrap_or(0);
        if last != top || entries != counted {
            let why = format!("the log of shard {shard} ends at {top} with {counted} entries, not {last}, {entries}");
            return Err(StoreError::Corrupt(why));
        }
    }
    Ok(())
}
