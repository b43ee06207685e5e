//! Lists: a k-way merge over the storage shards of a prefix.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::Keymap;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{ListPart, ListRange, StoreError, Values};

/// Shards that are read at once. A short prefix is in all 256 of them, and with a store on a disk each read takes a thread.
const TOGETHER: usize = 32;

/// One keymap of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The keymap.
    pub keymap: Keymap,
    /// Its storage shard.
    pub shard: u16,
    /// Log position that it includes.
    pub position: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In order of keys.
    pub items: Vec<Listed>,
    /// True if there is more after the last item.
    pub more: bool,
}

/// Items fetched of one shard and not yet given out.
struct Head {
    shard: u16,
    items: VecDeque<Keymap>,
    more: bool,
    position: u64,
}

/// At most `limit` keymaps below `prefix` after the key `after`, in order. A key that is
/// present throughout appears exactly once, whatever is written meanwhile.
///
/// Reads about `limit + fan` keymaps where keys are spread evenly; memory is bounded by `shards * limit`.
///
/// # Errors
/// The first [`StoreError`] of a shard.
pub async fn list(
    store: &dyn Values,
    prefix: &KeyPrefix,
    after: Option<CompositeKey>,
    limit: usize,
) -> Result<Page, StoreError> {
    let shards = store.layout().shards_of(prefix);
    // Keys of a prefix are spread evenly over its shards, so a share and a half each rarely needs a second round.
    let chunk = (limit * 3 / (2 * shards.len())).max(8).min(limit + 1);
    let mut heads = Vec::with_capacity(shards.len());
    let mut heap = BinaryHeap::with_capacity(shards.len());
    let range = |after| ListRange { prefix: prefix.clone(), after, limit: chunk };
    let first = |&shard: &u16| store.list_shard(shard, range(after.clone()));
    let firsts: Vec<_> = shards.iter().map(first).collect();
    let firsts: Vec<ListPart> = futures_util::stream::iter(firsts).buffered(TOGETHER).try_collect().await?;
    for (at, (shard, part)) in shards.into_iter().zip(firsts).enumerate() {
        if let Some(first) = part.items.first() {
            heap.push(Reverse((first.key.clone(), at)));
        }
        heads.push(Head { shard, items: part.items.into(), more: part.more, position: part.position });
    }
    let mut page = Page::default();
    while let Some(Reverse((_, at))) = heap.pop() {
        if page.items.len() == limit {
            page.more = true;
            break;
        }
        let head = &mut heads[at];
        let Some(item) = head.items.pop_front() else { continue };
        let position = head.position.max(item.version);
        if head.items.is_empty() && head.more {
            let part = store.list_shard(head.shard, range(Some(item.key.clone()))).await?;
            (head.items, head.more, head.position) = (part.items.into(), part.more, part.position);
        }
        if let Some(next) = head.items.front() {
            heap.push(Reverse((next.key.clone(), at)));
        }
        page.items.push(Listed { shard: head.shard, position, keymap: item });
    }
    Ok(page)
}
