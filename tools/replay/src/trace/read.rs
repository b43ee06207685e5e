//! Reading a trace file.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;

use super::builder::Builder;
use super::line::Line;
use super::{Trace, access_log, csv};

/// Longest line; a longer one is bad. Bounds the memory for a file that is no text.
const MAX_LINE: usize = 64 << 10;
/// First bytes of a gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// Mark that some editors put before the first line of a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// Bad lines before the first one in a known form, beyond which the file is taken for something else than a trace.
const MAX_PREAMBLE: usize = 100;

/// Reads the trace of a file, as [`parse`] does.
///
/// # Errors
/// If the file cannot be opened; and as there.
#[cfg(feature = "files")]
pub fn read(path: &std::path::Path) -> Result<Trace> {
    let in_file = || format!("cannot read the trace {}", path.display());
    let file = std::fs::File::open(path).with_context(in_file)?;
    parse(std::io::BufReader::new(file)).with_context(in_file)
}

/// Reads a trace, plain or gzip, in any of the known forms.
///
/// # Errors
/// If it cannot be read, is damaged, is in no known form, or holds no request.
pub fn parse(mut reader: impl BufRead) -> Result<Trace> {
    if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
        lines(BufReader::new(MultiGzDecoder::new(reader)))
    } else {
        lines(reader)
    }
}

/// The parser of one line.
type Form = fn(&str) -> Result<Line, String>;

/// The form that a line is in.
fn form_of(line: &str) -> Option<Form> {
    let forms: [Form; 2] = [csv::line, access_log::line];
    if line == csv::HEADER { Some(csv::line) } else { forms.into_iter().find(|form| form(line).is_ok()) }
}

const NO_FORM: &str = "neither `timestamp_ms,client,key` nor Common or Combined Log Format";

fn lines(mut reader: impl BufRead) -> Result<Trace> {
    let mut builder = Builder::default();
    let mut form: Option<Form> = None;
    let mut bytes = Vec::new();
    for number in 1.. {
        let whole = next_line(&mut reader, &mut bytes).with_context(|| format!("after line {}", number - 1))?;
        let Some(whole) = whole else { break };
        let text = std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\r', '\n']));
        let text = text.map(|text| if number == 1 { text.trim_start_matches(BYTE_ORDER_MARK) } else { text });
        match (whole, text) {
            (false, _) => builder.bad(number, format!("longer than {MAX_LINE} bytes")),
            (true, Err(_)) => builder.bad(number, "not UTF-8".to_owned()),
            (true, Ok("")) => {}
            (true, Ok(text)) => {
                form = form.or_else(|| form_of(text));
                match form.map(|known| known(text)) {
                    _ if text == csv::HEADER => {}
                    None => builder.bad(number, format!("{NO_FORM}: `{text:.80}`")),
                    Some(Ok(Line::Request(at_ms, client, key))) => builder.request(at_ms, client, key)?,
                    Some(Ok(Line::PassedOver)) => builder.trace.passed_over += 1,
                    Some(Err(reason)) => builder.bad(number, reason),
                }
            }
        }
        if form.is_none() && builder.trace.bad >= MAX_PREAMBLE {
            break;
        }
    }
    if form.is_none()
        && let Some((number, reason)) = builder.trace.bad_lines.first()
    {
        bail!("no line is in a known form; line {number}: {reason}");
    }
    if builder.trace.requests.is_empty() {
        bail!("it holds no request ({} bad lines, {} passed over)", builder.trace.bad, builder.trace.passed_over);
    }
    Ok(builder.trace)
}

/// Reads a line into `bytes`: `None` at the end, `Some(false)` if it was too long and has been skipped.
fn next_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    bytes.clear();
    reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < MAX_LINE || bytes.ends_with(b"\n") {
        return Ok(Some(true));
    }
    reader.skip_until(b'\n')?;
    Ok(Some(false))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
