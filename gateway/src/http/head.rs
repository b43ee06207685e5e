//! [`wait`]: until the first head of a connection is there.
//!
//! Until then its bytes stay with the system, which holds them to what it grants a connection. What serves HTTP begins with
//! 16 KB of buffers, so whoever sends a head in part, or none, would otherwise cost that much.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use foremap::protocol::{ErrorCode, PROBLEM_CONTENT_TYPE, Problem};
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::limits::Limits;

thread_local! {
    /// Buffer for bytes that are looked at, and read by nobody afterwards.
    static SEEN: RefCell<Vec<u8>> = RefCell::new(vec![0; Limits::HEAD_BYTES]);
}

/// Beginning of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// A whole head, or something else that is to be answered; `about_health` where it asks how the node is.
    Head { about_health: bool },
    /// A head over its limit.
    TooLong,
    /// Part of a head, for as long as it may take.
    TooLate,
    /// Nothing, for so long, or its end.
    Nothing,
}

/// Looks at what arrives on `stream`, for at most `patience`.
pub(super) async fn wait(stream: &TcpStream, patience: Duration) -> First {
    let mut seen = 0;
    let first = tokio::time::timeout(patience, async {
        loop {
            let Ok(ready) = stream.ready(Interest::READABLE).await else { return First::Nothing };
            let looked = stream.try_io(Interest::READABLE, || {
                let (count, first) = look(stream)?;
                seen = count;
                // The system says again when there is more.
                first.ok_or_else(|| Error::from(ErrorKind::WouldBlock))
            });
            match looked {
                Ok(first) => return first,
                Err(error) if error.kind() == ErrorKind::WouldBlock && !ready.is_read_closed() => {}
                Err(_) => return First::Nothing,
            }
        }
    });
    match first.await {
        Ok(first) => first,
        Err(_) if seen > 0 => First::TooLate,
        Err(_) => First::Nothing,
    }
}

/// The number of bytes that wait, and what they are as far as that can be told.
fn look(stream: &TcpStream) -> std::io::Result<(usize, Option<First>)> {
    SEEN.with_borrow_mut(|seen| {
        let (count, _) = recv(stream, seen.as_mut_slice(), RecvFlags::PEEK)?;
        if count == 0 {
            return Ok((0, Some(First::Nothing)));
        }
        Ok((count, judge(&seen[..count])))
    })
}

/// `None` where more is needed.
fn judge(bytes: &[u8]) -> Option<First> {
    let begins = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let head = &bytes[begins..];
    let is_method = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    if !head.iter().take(8).all(is_method) {
        // Not HTTP: it is told so at once.
        return Some(First::Head { about_health: false });
    }
    // As lenient about line ends as whoever reads it next.
    let ended = head.windows(2).any(|pair| pair == b"\n\n") || head.windows(3).any(|three| three == b"\n\r\n");
    if ended {
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let about_health = head.starts_with(b"GET ") && [&b"/healthz"[..], b"/readyz", b"/metrics"].contains(&path);
        return Some(First::Head { about_health });
    }
    (bytes.len() == Limits::HEAD_BYTES).then_some(First::TooLong)
}

/// Answers a connection that is not served, and tells the other side that this is the end.
pub(super) fn turn_away(stream: &TcpStream, status: Turned) {
    let problem = match status {
        Turned::TooLong => None,
        Turned::TooLate => Some(Problem::new(ErrorCode::RequestTimeout, "the head of the request took too long")),
        Turned::Full => Some(Problem::new(ErrorCode::Overloaded, "the node has no place for another connection")),
    };
    let (line, more) = match status {
        Turned::TooLong => ("431 Request Header Fields Too Large", ""),
        Turned::TooLate => ("408 Request Timeout", ""),
        Turned::Full => ("503 Service Unavailable", "retry-after: 1\r\n"),
    };
    let body = problem.map(|problem| serde_json::to_string(&problem).unwrap_or_default()).unwrap_or_default();
    let kind = if body.is_empty() { String::new() } else { format!("content-type: {PROBLEM_CONTENT_TYPE}\r\n") };
    let head = format!("HTTP/1.1 {line}\r\nconnection: close\r\n{kind}{more}content-length: {}\r\n\r\n", body.len());
    // What is left unread would make the system end the connection before the answer has been read.
    SEEN.with_borrow_mut(|seen| {
        let _ = recv(stream, seen.as_mut_slice(), RecvFlags::empty());
    });
    drop(stream.try_write(format!("{head}{body}").as_bytes()));
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    TooLong,
    TooLate,
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_one_when_it_ends_and_what_is_no_http_at_once() {
        let head = |about_health| Some(First::Head { about_health });
        for (bytes, expected) in [
            (&b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"[..], head(true)),
            (b"\r\n\r\nGET /readyz?x HTTP/1.1\n\n", head(true)),
            (b"GET /metrics HTTP/1.1\r\n\r\nGET /v1", head(true)),
            (b"POST /healthz HTTP/1.1\r\n\r\n", head(false)),
            (b"GET /v1/keymap?key=/healthz HTTP/1.1\r\n\r\n", head(false)),
            (b"GET /v1/map HTTP/1.1\r\n", None),
            (b"G", None),
            (b"\r\n\r\n", None),
            (b"\x16\x03\x01\x02\x00", head(false)),
        ] {
            assert_eq!(judge(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(judge(&[b'a'; Limits::HEAD_BYTES]), Some(First::TooLong));
        assert_eq!(judge(&[b'a'; Limits::HEAD_BYTES - 1]), None);
    }
}
