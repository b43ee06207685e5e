//! [`Pages`]: a file in which every block has a checksum that is looked at whenever the block is read.
//!
//! redb's own checksums are looked at when a file is opened, and then trusted: a page that goes bad under a running
//! process, or in a file that was opened unchecked, would be read as it is, and a value be wrong or a key not be found.
//!
//! The file begins with a block that says what it is. Then come groups of one block of checksums and the 512 blocks
//! that they are of. What redb calls block b is the `b mod 512`-th of the `b / 512`-th group. A checksum is the XXH3
//! of a block, seeded with its number, so that a block that was written elsewhere is told as well; 0 is that of a block
//! that was never written, which is all zeros.
//!
//! **What a crash leaves.** redb writes pages that nothing refers to, syncs, and then refers to them. The checksums of
//! a page are written before the sync that the page is, so whatever is referred to has its checksum. A block of
//! checksums that is written in part is none the worse: what did not change is the same in both. Block 0, which redb
//! writes in place, is left out: it has two slots with checksums of its own. While redb finds out what a crash has left
//! it has to read torn pages, and judges by its own checksums: until then nothing is verified, and afterwards every block gets the checksum of what is in it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Bound;

use ::redb::{BackendError, StorageBackend};
use foremap::partition::xxh3;
use parking_lot::Mutex;

/// redb's page size: what it writes is a multiple.
const BLOCK: usize = 4_096;
/// Checksums in a block.
const GROUP: u64 = (BLOCK / 8) as u64;
/// Beginning of a file; the last byte is the version.
const MAGIC: [u8; 8] = *b"FMSTORE\x01";
/// Offset of the flags in redb's header, behind a magic number of nine bytes, and the flag of a file that is in use (redb,
/// docs/design.md, "Database header").
const FLAGS: usize = 9;
const RECOVERY_REQUIRED: u8 = 2;
/// Most blocks of checksums in memory, 4 MiB: those of 2 GiB. Tests have a few, so that they get past them.
const MAX_SUMS: usize = if cfg!(test) { 8 } else { 1_024 };

/// Kind of a file, by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// There is nothing in it.
    Empty,
    /// It has checksums.
    Summed,
    /// It is redb's alone, from before there were checksums.
    Plain,
    /// It is no store.
    Other,
}

impl FileKind {
    /// The kind of what begins with `head`.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [] => Self::Empty,
            head if head.starts_with(&MAGIC) => Self::Summed,
            head if head.starts_with(b"redb") => Self::Plain,
            _ => Self::Other,
        }
    }
}

/// The checksums of one group.
struct Sums {
    sums: Box<[u8; BLOCK]>,
    is_dirty: bool,
}

impl Sums {
    fn get(&self, at: usize) -> u64 {
        self.sums.as_chunks::<8>().0.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn set(&mut self, at: usize, sum: u64) {
        if let Some(bytes) = self.sums.as_chunks_mut::<8>().0.get_mut(at) {
            *bytes = sum.to_le_bytes();
            self.is_dirty = true;
        }
    }
}

/// Blocks with checksums, over a file without.
pub(super) struct Pages {
    disk: Box<dyn StorageBackend>,
    groups: Mutex<HashMap<u64, Sums>>,
    /// True if checksums are looked at.
    verifies: bool,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({:?})", self.disk)
    }
}

fn sum(block: u64, bytes: &[u8]) -> u64 {
    xxh3(block, bytes).max(1)
}

/// Offset of the checksums of a group, in bytes.
fn place_of_group(group: u64) -> u64 {
    (1 + group * (GROUP + 1)) * BLOCK as u64
}

/// Offset of a block, in bytes.
fn place_of(block: u64) -> u64 {
    place_of_group(block / GROUP) + (1 + block % GROUP) * BLOCK as u64
}

fn damaged(block: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("block {block} is damaged: its checksum is wrong"))
}

impl Pages {
    /// Over `disk`, which is empty or was written so before.
    ///
    /// # Errors
    /// Those of `disk`, where it is empty and cannot be written.
    pub(super) fn new(disk: Box<dyn StorageBackend>, verifies: bool) -> io::Result<Self> {
        if disk.len()? == 0 {
            let mut head = [0; BLOCK];
            head[..MAGIC.len()].copy_from_slice(&MAGIC);
            disk.set_len(BLOCK as u64)?;
            disk.write(0, &head)?;
            disk.sync_data()?;
        }
        Ok(Self { disk, groups: Mutex::default(), verifies })
    }

    /// The same blocks, unverified.
    pub(super) fn unverified(self) -> Self {
        Self { verifies: false, ..self }
    }

    /// Tells whether redb did not close the file, so that it has to find out which pages of the last commit arrived.
    pub(super) fn needs_recovery(&self) -> io::Result<bool> {
        if self.len()? == 0 {
            return Ok(false);
        }
        let mut head = [0; 16];
        self.read(0, &mut head)?;
        Ok(head[FLAGS] & RECOVERY_REQUIRED != 0)
    }

    /// Gives every block the checksum of what is in it: what redb has found to be whole after a crash may have been written
    /// without its checksum. Reads the whole file, as redb has just done.
    pub(super) fn seal(&self) -> io::Result<()> {
        let mut bytes = [0; BLOCK];
        for block in 0..self.len()? / BLOCK as u64 {
            self.disk.read(place_of(block), &mut bytes)?;
            let found = if bytes.iter().all(|&byte| byte == 0) { 0 } else { sum(block, &bytes) };
            self.with_sums(block / GROUP, |sums| {
                let at = (block % GROUP) as usize;
                if sums.get(at) != found {
                    sums.set(at, found);
                }
            })?;
        }
        self.sync_data()
    }

    /// Calls `with` with the checksums of `group`.
    fn with_sums<T>(&self, group: u64, with: impl FnOnce(&mut Sums) -> T) -> io::Result<T> {
        let mut groups = self.groups.lock();
        if !groups.contains_key(&group) {
            if groups.len() >= MAX_SUMS {
                self.write_sums(&mut groups)?;
                let half: Vec<u64> = groups.keys().copied().take(MAX_SUMS / 2).collect();
                half.iter().for_each(|old| drop(groups.remove(old)));
            }
            let mut sums = Box::new([0; BLOCK]);
            let place = place_of_group(group);
            if place + BLOCK as u64 <= self.disk.len()? {
                self.disk.read(place, &mut sums[..])?;
            }
            groups.insert(group, Sums { sums, is_dirty: false });
        }
        match groups.get_mut(&group) {
            Some(sums) => Ok(with(sums)),
            None => Err(io::Error::other("the checksums of a group are gone")),
        }
    }

    fn write_sums(&self, groups: &mut HashMap<u64, Sums>) -> io::Result<()> {
        for (&group, sums) in groups.iter_mut().filter(|(_, sums)| sums.is_dirty) {
            self.disk.write(place_of_group(group), &sums.sums[..])?;
            sums.is_dirty = false;
        }
        Ok(())
    }

    fn verify(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.verifies || block == 0 {
            return Ok(());
        }
        let wanted = self.with_sums(block / GROUP, |sums| sums.get((block % GROUP) as usize))?;
        // Zeros may have been written, or not.
        let is_well = if wanted == 0 { bytes.iter().all(|&byte| byte == 0) } else { sum(block, bytes) == wanted };
        if is_well { Ok(()) } else { Err(damaged(block)) }
    }

    /// The parts of `length` bytes from `offset`: block, first byte in it, bytes.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
        let (mut at, end) = (offset, offset + length as u64);
        std::iter::from_fn(move || {
            let (block, from) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let bytes = (BLOCK - from).min(usize::try_from(end - at).unwrap_or(BLOCK));
            at += bytes as u64;
            (bytes > 0).then_some((block, from, bytes))
        })
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        let blocks = (self.disk.len()? / BLOCK as u64).saturating_sub(1);
        let rest = (blocks % (GROUP + 1)).saturating_sub(1);
        Ok((blocks / (GROUP + 1) * GROUP + rest) * BLOCK as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut rest = out;
        for (block, from, bytes) in Self::parts(offset, rest.len()) {
            let (part, behind) = rest.split_at_mut(bytes);
            rest = behind;
            if bytes == BLOCK {
                self.disk.read(place_of(block), part)?;
                self.verify(block, part)?;
            } else {
                let mut whole = [0; BLOCK];
                self.disk.read(place_of(block), &mut whole)?;
                self.verify(block, &whole)?;
                part.copy_from_slice(&whole[from..from + bytes]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let blocks = len.div_ceil(BLOCK as u64);
        let before = self.len()?.div_ceil(BLOCK as u64);
        if blocks < before {
            // What is added again later is zeros.
            let mut groups = self.groups.lock();
            groups.retain(|&group, _| group * GROUP < blocks);
            drop(groups);
            for block in blocks..before.min(blocks.next_multiple_of(GROUP)) {
                self.with_sums(block / GROUP, |sums| sums.set((block % GROUP) as usize, 0))?;
            }
        }
        self.disk.set_len(if blocks == 0 { BLOCK as u64 } else { place_of(blocks - 1) + BLOCK as u64 })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.write_sums(&mut self.groups.lock())?;
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        for (block, from, bytes) in Self::parts(offset, data.len()) {
            let (part, behind) = rest.split_at(bytes);
            rest = behind;
            let place = place_of(block);
            self.disk.write(place + from as u64, part)?;
            let sum = if bytes == BLOCK {
                sum(block, part)
            } else {
                let mut whole = [0; BLOCK];
                self.disk.read(place, &mut whole)?;
                sum(block, &whole)
            };
            self.with_sums(block / GROUP, |sums| sums.set((block % GROUP) as usize, sum))?;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
