//! The compressed form of a snapshot.

use std::io::Write as _;

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
