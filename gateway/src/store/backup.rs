//! The form of a backup: everything that a store file holds, as of one moment, in frames with checksums.
//!
//! `FMBK`, a version byte, then frames. A frame is its length (4 bytes, little-endian), the XXH3 of its content seeded with
//! its number from 0 (8 bytes, little-endian), and the content, a [`BackupPart`]. The first is [`BackupPart::Head`], the last
//! [`BackupPart::End`], which says how many entries there were: what was cut short, put in another order, or changed in any
//! bit is not a backup.

use std::io::{self, Read};

use foremap::codec::{DecodeError, Reader, Writer};
use foremap::partition::xxh3;

use crate::store::Checked;
use crate::store::record::decode_version;

/// Beginning of a backup; the last byte is the version.
pub(crate) const PREAMBLE: [u8; 5] = *b"FMBK\x01";
/// Bytes of content from which on a frame is full. An entry is smaller than a blob's bound, so no frame is over twice that.
pub(super) const FULL: usize = 256 << 10;
const MAX_FRAME: usize = 16 << 20;
const MAX_ENTRIES: usize = 1 << 20;

/// Contents of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackupPart {
    /// The format record of the store, and when the backup was begun, in microseconds since 1970.
    Head { format: Vec<u8>, begun_us: u64 },
    /// Some entries.
    Entries(Vec<BackupEntry>),
    /// Number of entries that there were.
    End { entries: u64 },
}

/// One entry of a store file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackupEntry {
    /// Something about the whole namespace, by its name.
    Meta(String, Vec<u8>),
    /// A version record: shard, key, version.
    Version(u16, String, u64, Vec<u8>),
    /// A log entry: shard, position, whether it deleted, key.
    Log(u16, u64, bool, String),
    /// The state of a shard's log: last, base, entries.
    Shard(u16, u64, u64, u64),
}

impl BackupEntry {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Meta(name, bytes) => {
                w.u8(0);
                w.str(name);
                w.bytes(bytes);
            }
            Self::Version(shard, key, version, bytes) => {
                w.u8(1);
                w.varint((*shard).into());
                w.str(key);
                w.varint(*version);
                w.bytes(bytes);
            }
            Self::Log(shard, position, deleted, key) => {
                w.u8(2);
                w.varint((*shard).into());
                w.varint(*position);
                w.u8((*deleted).into());
                w.str(key);
            }
            Self::Shard(shard, last, base, entries) => {
                w.u8(3);
                w.varint((*shard).into());
                w.varint(*last);
                w.varint(*base);
                w.varint(*entries);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let shard = |r: &mut Reader<'_>| r.at_most(u16::MAX.into(), "shard").map(|shard| shard as u16);
        Ok(match r.u8()? {
            0 => Self::Meta(r.str("name")?.to_owned(), r.bytes()?.to_vec()),
            1 => Self::Version(shard(r)?, r.str("key")?.to_owned(), r.varint()?, r.bytes()?.to_vec()),
            2 => Self::Log(shard(r)?, r.varint()?, r.at_most(1, "deleted")? == 1, r.str("key")?.to_owned()),
            3 => Self::Shard(shard(r)?, r.varint()?, r.varint()?, r.varint()?),
            _ => return Err(DecodeError::BadValue("entry")),
        })
    }

    /// Bytes that it takes, about.
    pub(super) fn size(&self) -> usize {
        16 + match self {
            Self::Meta(name, bytes) => name.len() + bytes.len(),
            Self::Version(_, key, _, bytes) => key.len() + bytes.len(),
            Self::Log(.., key) => key.len(),
            Self::Shard(..) => 16,
        }
    }
}

impl BackupPart {
    /// The part as the frame with `number`.
    pub(super) fn frame(&self, number: u64) -> Vec<u8> {
        let mut w = Writer::default();
        match self {
            Self::Head { format, begun_us } => {
                w.u8(0);
                w.bytes(format);
                w.varint(*begun_us);
            }
            Self::Entries(entries) => {
                w.u8(1);
                w.list(entries.iter(), |w, entry| entry.encode(w));
            }
            Self::End { entries } => {
                w.u8(2);
                w.varint(*entries);
            }
        }
        let content = w.finish();
        let mut frame = (content.len() as u32).to_le_bytes().to_vec();
        frame.extend(xxh3(number, &content).to_le_bytes());
        frame.extend(content);
        frame
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let part = match r.u8()? {
            0 => Self::Head { format: r.bytes()?.to_vec(), begun_us: r.varint()? },
            1 => Self::Entries(r.list(MAX_ENTRIES, "entries", BackupEntry::decode)?),
            2 => Self::End { entries: r.varint()? },
            _ => return Err(DecodeError::BadValue("part")),
        };
        r.finish()?;
        Ok(part)
    }
}

/// Reads a backup part by part, and believes nothing.
pub(super) struct BackupReader<R> {
    from: R,
    number: u64,
    entries: u64,
    is_over: bool,
}

impl<R: Read> BackupReader<R> {
    /// Reads what a backup begins with.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn new(mut from: R) -> Result<Self, String> {
        let mut preamble = [0; PREAMBLE.len()];
        from.read_exact(&mut preamble).map_err(|error| cut(&error))?;
        if preamble != PREAMBLE {
            return Err("it is not a backup".into());
        }
        Ok(Self { from, number: 0, entries: 0, is_over: false })
    }

    /// The next part; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<BackupPart>, String> {
        if self.is_over {
            return match self.from.read(&mut [0]).map_err(|error| error.to_string())? {
                0 => Ok(None),
                _ => Err("there is something behind its end".into()),
            };
        }
        let number = self.number;
        let mut head = [0; 12];
        self.from.read_exact(&mut head).map_err(|error| cut(&error))?;
        let [a, b, c, d, rest @ ..] = head;
        let (length, wanted) = (u32::from_le_bytes([a, b, c, d]) as usize, u64::from_le_bytes(rest));
        if length > MAX_FRAME {
            return Err(format!("frame {number} is damaged: it has {length} bytes"));
        }
        let mut content = vec![0; length];
        self.from.read_exact(&mut content).map_err(|error| cut(&error))?;
        if xxh3(number, &content) != wanted {
            return Err(format!("frame {number} is damaged: its checksum is wrong"));
        }
        let part = BackupPart::decode(&content).map_err(|error| format!("frame {number}: {error}"))?;
        match &part {
            BackupPart::Head { .. } if number == 0 => {}
            BackupPart::Entries(entries) if number > 0 => self.entries += entries.len() as u64,
            BackupPart::End { entries } if number > 0 && *entries == self.entries => self.is_over = true,
            BackupPart::End { entries } => return Err(format!("it has {} of {entries} entries", self.entries)),
            _ => return Err(format!("frame {number} is not where it belongs")),
        }
        self.number += 1;
        Ok(Some(part))
    }
}

fn cut(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut short".to_owned(),
        _ => error.to_string(),
    }
}

/// Verifies a backup: that it is whole, and that every record in it can be read.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check(from: impl Read) -> Result<Checked, String> {
    let mut parts = BackupReader::new(from)?;
    let mut checked = Checked::default();
    while let Some(part) = parts.next()? {
        let BackupPart::Entries(entries) = part else { continue };
        for entry in entries {
            match entry {
                BackupEntry::Version(_, key, version, bytes) => {
                    decode_version(version, &bytes).map_err(|error| format!("`{key}`: {error}"))?;
                    checked.versions += 1;
                }
                BackupEntry::Log(..) => checked.log_entries += 1,
                BackupEntry::Meta(..) | BackupEntry::Shard(..) => {}
            }
        }
    }
    Ok(checked)
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
