//! The compressed forms of a snapshot.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Brotli's quality: 11 makes a snapshot 4 % smaller and takes twenty times as long.
const QUALITY: u32 = 9;
/// Its window, as a power of two: a megabyte, which is the largest snapshot.
const WINDOW: u32 = 20;

/// Bytes as they are sent with `Content-Encoding: br`.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to a vector cannot fail.
    let _ = brotli::CompressorWriter::new(&mut out, 4_096, QUALITY, WINDOW).write_all(bytes);
    out
}

/// Reverses [`compressed`]; `None` where these are not its bytes, or where the result were more than `max`.
pub(super) fn decompressed(bytes: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = brotli::Decompressor::new(bytes, 4_096).take(max as u64 + 1);
    reader.read_to_end(&mut out).ok()?;
    (out.len() <= max).then_some(out)
}

/// Bytes as they are sent with `Content-Encoding: gzip`.
pub(super) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
