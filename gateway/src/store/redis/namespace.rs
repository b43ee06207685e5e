//! [`Namespace`] for [`RedisStore`].

use std::sync::Arc;

use ::redis::{Cmd, Value};
use foremap::partition::{Epoch, PartitionMap};

use super::functions::call;
use super::keys::{KeyPlace, LEASE, MAP};
use super::open::RedisStore;
use super::reply::{Replies, bytes, number};
use crate::store::{Blob, Namespace, StoreError, StoreFuture, Term};

fn epoch_text(epoch: Epoch) -> String {
    format!("{}.{}", epoch.incarnation, epoch.number)
}

/// Later than any that is given out, and exact in Lua.
const MAX_TERM: Term = 1 << 53;

impl RedisStore {
    pub(super) fn meta(&self, name: &str) -> String {
        self.cluster.keys.key(KeyPlace::Meta, name)
    }

    fn blob_key(&self, blob: Blob) -> String {
        self.meta(&format!("blob:{}", blob.name()))
    }

    async fn look_one(&self, command: Cmd) -> Result<Value, StoreError> {
        Ok(Replies::new(self.look(KeyPlace::Meta, [command]).await?).next())
    }

    pub(super) async fn agreed(&self, command: Cmd) -> Result<bool, StoreError> {
        Ok(number(&self.change(KeyPlace::Meta, command).await?, "an agreement")? == 1)
    }

    async fn store_map(&self, expect: Option<Epoch>, map: &PartitionMap, term: Term) -> Result<bool, StoreError> {
        let mut command = call("put_map", &[self.meta(MAP), self.meta(LEASE)]);
        command.arg(expect.map(epoch_text).unwrap_or_default()).arg(term);
        command.arg(epoch_text(map.epoch)).arg(self.seal.close(MAP, map.encode()));
        self.agreed(command).await
    }

    fn opened_map(&self, bytes: Vec<u8>) -> Result<PartitionMap, StoreError> {
        let opened = self.seal.open(MAP, bytes).map_err(|error| match error {
            // The map is a hint: nothing is lost with it.
            StoreError::Corrupt(why) => StoreError::Corrupt(format!("{why} (DEL {} has it made anew)", self.meta(MAP))),
            error => error,
        })?;
        PartitionMap::decode(&opened.content).map_err(|error| StoreError::Corrupt(format!("map: {error}")))
    }

    /// Once another secret signs, seals with it what the one before had sealed: that one may be gone soon. Whoever is second
    /// finds it done, and what was changed meanwhile is sealed already.
    async fn renew_seals(&self) -> Result<(), StoreError> {
        let mut known = *self.sealed_by.lock();
        if !self.seal.is_renewed(&mut known) {
            return Ok(());
        }
        let mut field = ::redis::cmd("HGET");
        field.arg(self.meta(MAP)).arg("bytes");
        if let Some(stored) = bytes(self.look_one(field).await?, "the map")?
            && self.seal.open(MAP, stored.clone()).is_ok_and(|opened| opened.is_old)
        {
            let map = self.opened_map(stored)?;
            // Nobody's term is later, so that this depends on the epoch alone.
            self.store_map(Some(map.epoch), &map, MAX_TERM).await?;
        }
        for blob in Blob::ALL {
            let mut command = ::redis::cmd("GET");
            command.arg(self.blob_key(blob));
            let Some(stored) = bytes(self.look_one(command).await?, "a blob")? else { continue };
            let Ok(opened) = self.seal.open(blob.name(), stored.clone()) else { continue };
            if opened.is_old {
                let mut command = call("reseal", &[self.blob_key(blob)]);
                command.arg(stored).arg(self.seal.close(blob.name(), opened.content));
                self.agreed(command).await?;
            }
        }
        *self.sealed_by.lock() = known;
        Ok(())
    }
}

impl Namespace for RedisStore {
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>> {
        Box::pin(async move {
            self.renew_seals().await?;
            let field = |name: &str| {
                let mut command = ::redis::cmd("HGET");
                command.arg(self.meta(MAP)).arg(name);
                command
            };
            // Every gateway looks once a second, and a map has tens of kilobytes: usually its epoch tells enough.
            let known = self.map.lock().clone();
            if let Some(known) = known {
                let epoch = bytes(self.look_one(field("epoch")).await?, "the epoch of the map")?;
                if epoch.is_some_and(|epoch| epoch == epoch_text(known.epoch).as_bytes()) {
                    return Ok(Some(known));
                }
            }
            let Some(bytes) = bytes(self.look_one(field("bytes")).await?, "the map")? else { return Ok(None) };
            let map = Arc::new(self.opened_map(bytes)?);
            *self.map.lock() = Some(map.clone());
            Ok(Some(map))
        })
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(async move { self.store_map(expect, &map, term).await })
    }

    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut command = ::redis::cmd("GET");
            command.arg(self.blob_key(blob));
            let Some(bytes) = bytes(self.look_one(command).await?, "a blob")? else { return Ok(None) };
            Ok(Some(self.seal.open(blob.name(), bytes)?.content))
        })
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            Blob::check(content.as_deref())?;
            let mut command = call("put_blob", &[self.blob_key(blob), self.meta(LEASE)]);
            let sealed = content.map(|content| self.seal.close(blob.name(), content));
            command.arg(term).arg(if sealed.is_some() { "1" } else { "0" }).arg(sealed.unwrap_or_default());
            self.agreed(command).await
        })
    }

    fn prepare(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_anew())
    }
}
