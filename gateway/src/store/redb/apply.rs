//! One write inside a transaction.

use ::redb::{ReadableTable, StorageError, Table, TableError, WriteTransaction};
use foremap::key::CompositeKey;
use foremap::node::{NoVersion, next_version};
use foremap::protocol::{Keymap, MAX_VERSION};

use super::error::failed;
use super::options::Retention;
use super::tables::{CURRENT, LOG, SHARDS, ShardLog, VERSIONS};
use crate::store::record::{decode_keymap, encode_version, version_head};
use crate::store::{Expect, ShardRead, StoreError, VersionRecord, Write, WriteOutcome, Written};

/// The tables of one write transaction.
pub(super) struct WriteTables<'txn> {
    current: Table<'txn, (u16, &'static str), &'static [u8]>,
    versions: Table<'txn, (u16, &'static str, u64), &'static [u8]>,
    log: Table<'txn, (u16, u64), (bool, &'static str)>,
    shards: Table<'txn, u16, (u64, u64, u64)>,
    /// A failure half-way through a write: the transaction must be abandoned.
    pub(super) broken: Option<StoreError>,
}

/// Consequences of the kept versions of a key for a write.
#[derive(Default)]
struct Versions {
    /// The outcome of an earlier attempt of the same write.
    retried: Option<Written>,
    /// Versions beyond the retention, once one more is written.
    surplus: Vec<u64>,
}

impl<'txn> WriteTables<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            current: txn.open_table(CURRENT)?,
            versions: txn.open_table(VERSIONS)?,
            log: txn.open_table(LOG)?,
            shards: txn.open_table(SHARDS)?,
            broken: None,
        })
    }

    /// Applies `write` at `now_us`. After an error nothing was changed, unless `broken` says otherwise.
    pub(super) fn write(
        &mut self,
        shard: u16,
        write: Write,
        now_us: u64,
        retention: Retention,
    ) -> Result<ShardRead<WriteOutcome>, StoreError> {
        let log = self.shard_log(shard)?;
        let answer = |value, position| Ok(ShardRead { value, shard, position });
        let key = write.key.as_str();
        let versions = self.versions_of(shard, &write, retention)?;
        if let Some(written) = versions.retried {
            return answer(WriteOutcome::Written(written), log.last);
        }
        let current = self.current_version(shard, key)?;
        let holds = match write.expect {
            Expect::Any => true,
            Expect::Present => current != 0,
            Expect::Version(version) => current == version,
        };
        if !holds {
            return answer(WriteOutcome::Conflict { current }, log.last);
        }
        if write.fields.is_none() && current == 0 {
            return answer(WriteOutcome::Missing, log.last);
        }
        // One machine has no other clock to be compared with; its own may be anything that is a version.
        let version = next_version(now_us, log.last, MAX_VERSION).map_err(|error| no_version(error, shard))?;
        let record = VersionRecord {
            version,
            keymap: write.fields.map(|fields| Keymap { key: write.key.clone(), version, fields }),
            created: current == 0,
            id: write.id,
        };
        let deleted = record.keymap.is_none();
        let stored = self
            .store(shard, &write.key, &record, &versions.surplus)
            .and_then(|()| self.append(shard, log, version, deleted, key, retention));
        if let Err(error) = stored {
            return Err(self.broken.insert(failed(error)).clone());
        }
        answer(WriteOutcome::Written(Written { version, created: record.created }), version)
    }

    fn store(
        &mut self,
        shard: u16,
        key: &CompositeKey,
        record: &VersionRecord,
        surplus: &[u64],
    ) -> Result<(), StorageError> {
        let key = key.as_str();
        match &record.keymap {
            Some(keymap) => self.current.insert((shard, key), keymap.encode().as_slice())?,
            None => self.current.remove((shard, key))?,
        };
        self.versions.insert((shard, key, record.version), encode_version(record).as_slice())?;
        for &version in surplus {
            self.versions.remove((shard, key, version))?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        shard: u16,
        mut log: ShardLog,
        version: u64,
        deleted: bool,
        key: &str,
        retention: Retention,
    ) -> Result<(), StorageError> {
        self.log.insert((shard, version), (deleted, key))?;
        log.last = version;
        log.entries += 1;
        while log.entries > retention.log_entries.max(1) {
            let oldest = self.log.range((shard, 0)..=(shard, u64::MAX))?.next().transpose()?;
            let Some(position) = oldest.map(|(position, _)| position.value().1) else { break };
            self.log.remove((shard, position))?;
            log.base = position;
            log.entries -= 1;
        }
        self.shards.insert(shard, <(u64, u64, u64)>::from(log))?;
        Ok(())
    }

    /// Removes a version that is not current: neither the live one nor the newest marker.
    /// It is one change, so a failure leaves nothing half done.
    pub(super) fn remove_version(
        &mut self,
        shard: u16,
        key: &str,
        version: u64,
    ) -> Result<ShardRead<WriteOutcome>, StoreError> {
        let position = self.shard_log(shard)?.last;
        let newest = {
            let mut range = self.versions.range((shard, key, 0)..=(shard, key, u64::MAX)).map_err(failed)?;
            range.next_back().transpose().map_err(failed)?.map_or(0, |(at, _)| at.value().2)
        };
        let value = if version == newest {
            WriteOutcome::Conflict { current: newest }
        } else if self.versions.remove((shard, key, version)).map_err(failed)?.is_some() {
            WriteOutcome::Written(Written { version, created: false })
        } else {
            WriteOutcome::Missing
        };
        Ok(ShardRead { value, shard, position })
    }

    fn shard_log(&self, shard: u16) -> Result<ShardLog, StoreError> {
        Ok(self.shards.get(shard).map_err(failed)?.map(|log| log.value().into()).unwrap_or_default())
    }

    fn current_version(&self, shard: u16, key: &str) -> Result<u64, StoreError> {
        match self.current.get((shard, key)).map_err(failed)? {
            Some(bytes) => Ok(decode_keymap(bytes.value())?.version),
            None => Ok(0),
        }
    }

    fn versions_of(&self, shard: u16, write: &Write, retention: Retention) -> Result<Versions, StoreError> {
        let key = write.key.as_str();
        let mut versions = Versions::default();
        let range = self.versions.range((shard, key, 0)..=(shard, key, u64::MAX)).map_err(failed)?;
        for (at, entry) in range.rev().enumerate() {
            let (place, bytes) = entry.map_err(failed)?;
            let version = place.value().2;
            if let Some(id) = &write.id {
                let head = version_head(bytes.value())?;
                if head.id == id.as_str() {
                    versions.retried = Some(Written { version, created: head.created });
                    return Ok(versions);
                }
            }
            if at + 1 >= retention.versions.max(1) {
                versions.surplus.push(version);
            }
        }
        Ok(versions)
    }
}

fn no_version(error: NoVersion, shard: u16) -> StoreError {
    match error {
        NoVersion::ClockAhead { .. } => {
            StoreError::Unavailable("the clock of this machine shows a time after the year 2255: set it right".into())
        }
        NoVersion::UsedUp => {
            tracing::error!(shard, "{}", StoreError::UsedUp);
            StoreError::UsedUp
        }
    }
}
