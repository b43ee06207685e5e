//! [`Socket`]: a connection that a feed can be given.
//!
//! What serves HTTP keeps 16 KB of buffers for each connection, and a feed needs none of them: its request has been read,
//! and it says a few bytes every few seconds. So a feed takes the connection over, and holds nothing between two frames.

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, Result, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Version, header};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, MutexGuard};
use socket2::SockRef;
use tokio::io::AsyncRead as _;
use tokio::net::TcpStream;

use super::feed::FrameStream;
use super::receiving::{HeadBytes, MemoryReservation};

/// Bytes that the system keeps for a reader that does not take them; it doubles that.
const SEND_BUFFER: usize = 32 << 10;
/// Longest time for which a reader's machine may leave bytes unacknowledged, or refuse to take any.
const UNTAKEN: Duration = Duration::from_secs(30);
/// Most bytes that a reader may send behind its request: a line break, as old browsers do.
const MAX_STRAY: usize = 64;

thread_local! {
    /// Buffer in which what may be of a head arrives: as much as is read at once at first.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 8 << 10]);
}

/// Shared by whatever serves requests and whoever takes the connection over; it is at its end for the former then.
#[derive(Clone)]
pub(super) struct Socket(Arc<SocketState>);

struct SocketState {
    stream: Mutex<Option<TokioIo<TcpStream>>>,
    /// Count of what has arrived of a head.
    head: Mutex<HeadBytes>,
    /// The last write was not taken as a whole: part of an answer may be waiting.
    is_behind: AtomicBool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, held: MemoryReservation) -> Self {
        let (stream, head) = (Mutex::new(Some(TokioIo::new(stream))), Mutex::new(HeadBytes::new(held)));
        Self(Arc::new(SocketState { stream, head, is_behind: AtomicBool::new(false) }))
    }

    /// Count of what has arrived of a head.
    pub(super) fn head(&self) -> MutexGuard<'_, HeadBytes> {
        self.0.head.lock()
    }

    /// The connection, where everything written to it has been taken.
    pub(super) fn take(&self) -> Option<TcpStream> {
        if self.0.is_behind.load(Ordering::Relaxed) {
            return None;
        }
        self.0.stream.lock().take().map(TokioIo::into_inner)
    }

    fn write(
        &self,
        length: usize,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>) -> Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        let Some(stream) = &mut *self.0.stream.lock() else { return Poll::Ready(Err(ErrorKind::BrokenPipe.into())) };
        let written = write(Pin::new(stream));
        let is_whole = matches!(&written, Poll::Ready(Ok(count)) if *count == length);
        self.0.is_behind.store(!is_whole, Ordering::Relaxed);
        written
    }
}

impl Read for Socket {
    /// Counts what may be of a head before it is handed on.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        let mut stream = self.0.stream.lock();
        let Some(stream) = &mut *stream else { return Poll::Ready(Ok(())) };
        let mut head = self.head();
        if head.is_answering() {
            return Pin::new(stream).poll_read(cx, buf);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let most = buf.remaining().min(scratch.len());
            let mut part = tokio::io::ReadBuf::new(&mut scratch[..most]);
            ready!(Pin::new(stream.inner_mut()).poll_read(cx, &mut part))?;
            if !head.arrived(part.filled().len()) {
                return Poll::Ready(Err(ErrorKind::OutOfMemory.into()));
            }
            buf.put_slice(part.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.write(buf.len(), |stream| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        self.write(length, |stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self.0.stream.lock() {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self.0.stream.lock() {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A feed on a connection of its own.
pub(super) struct Push {
    stream: TcpStream,
    frames: FrameStream,
    /// HTTP/1.0 knows no chunks: there, the end of the connection is the end of the answer.
    is_chunked: bool,
    /// Bytes that the socket has not taken yet, from `written` on.
    out: Vec<u8>,
    written: usize,
    is_last: bool,
    stray: usize,
}

impl Push {
    /// Begins with the head of the answer.
    pub(super) fn new(stream: TcpStream, headers: &HeaderMap, version: Version, frames: FrameStream) -> Self {
        let is_chunked = version == Version::HTTP_11;
        let socket = SockRef::from(&stream);
        // Both only bound what a reader costs that takes nothing; where the system refuses, the feed's life does.
        drop(socket.set_send_buffer_size(SEND_BUFFER));
        #[cfg(target_os = "linux")]
        drop(socket.set_tcp_user_timeout(Some(UNTAKEN)));
        let out = head(headers, is_chunked);
        Self { stream, frames, is_chunked, out, written: 0, is_last: false, stray: 0 }
    }

    /// Tells whether the reader is still there, as far as can be told.
    fn listens(&mut self, cx: &mut Context<'_>) -> bool {
        let mut bytes = [0; MAX_STRAY];
        while let Poll::Ready(ready) = self.stream.poll_read_ready(cx) {
            match ready.and_then(|()| self.stream.try_read(&mut bytes)) {
                Ok(count) if count > 0 && self.stray + count <= MAX_STRAY => self.stray += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return false,
            }
        }
        true
    }

    /// Writes what there is to write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.stream.poll_write_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // Nothing is kept between frames.
        (self.out, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn wrap(&self, frame: Option<Vec<u8>>) -> Vec<u8> {
        match frame {
            Some(frame) if !self.is_chunked => frame,
            Some(frame) => {
                let mut out = Vec::with_capacity(frame.len() + 10);
                // Writing to memory does not fail.
                drop(write!(out, "{:x}\r\n", frame.len()));
                out.extend_from_slice(&frame);
                out.extend_from_slice(b"\r\n");
                out
            }
            None if self.is_chunked => b"0\r\n\r\n".to_vec(),
            None => Vec::new(),
        }
    }
}

impl Future for Push {
    type Output = ();

    /// Ends with the feed, or when its reader has gone.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let push = &mut *self;
        if !push.listens(cx) {
            return Poll::Ready(());
        }
        loop {
            match push.poll_write(cx) {
                Poll::Ready(Ok(())) if !push.is_last => {}
                // The end of the node waits for no reader that takes nothing.
                Poll::Pending if !push.frames.is_stopped() => return Poll::Pending,
                _ => return Poll::Ready(()),
            }
            let frame = ready!(push.frames.poll_next(cx));
            push.is_last = frame.is_none();
            push.out = push.wrap(frame);
        }
    }
}

/// The status line and headers of an answer that goes on until the connection ends.
fn head(headers: &HeaderMap, is_chunked: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(if is_chunked { b"HTTP/1.1 200 OK\r\n" } else { b"HTTP/1.0 200 OK\r\n" });
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::DATE];
    for (name, value) in headers.iter().filter(|(name, _)| !framing.contains(name)) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    head.extend_from_slice(format!("date: {date}\r\nconnection: close\r\n").as_bytes());
    if is_chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
