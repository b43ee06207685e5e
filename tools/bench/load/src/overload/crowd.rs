//! [`Crowd`]: connections that want nothing but to be in the way, on a thread of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::wire;

/// Addresses that a crowd comes from, so that no share of one of them stands in its way.
const ADDRESSES: u32 = 200;
/// Connections opened at once.
const TOGETHER: usize = 128;

/// Activity of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Silent,
    /// A byte of a head a second.
    Slow,
    /// 390 kB of a head.
    LongHead,
    /// 390 kB of a body of 400 kB.
    LongBody,
    /// As much of a head as is waited for.
    ShortHead,
    /// As much of a body as is taken for small.
    ShortBody,
}

impl Kind {
    /// Tells whether those that are sent away come again.
    fn returns(self) -> bool {
        matches!(self, Self::Silent | Self::Slow)
    }

    /// Bytes that are sent at once.
    fn text(self) -> Vec<u8> {
        let head = |bytes: usize| format!("GET /v1/map HTTP/1.1\r\nhost: a\r\nx: {}", "a".repeat(bytes));
        let body = |bytes: usize, sent: usize| {
            let head = "PUT /v1/keymap?key=crowd/1 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
            format!("{head}content-length: {bytes}\r\n\r\n{}", " ".repeat(sent))
        };
        match self {
            Self::Silent | Self::Slow => String::new(),
            Self::LongHead => head(390_000),
            Self::LongBody => body(400_000, 390_000),
            Self::ShortHead => head(30_000),
            Self::ShortBody => body(4_000, 3_900),
        }
        .into_bytes()
    }
}

#[derive(Default)]
struct Shared {
    came: AtomicUsize,
    open: AtomicUsize,
    is_over: AtomicBool,
}

/// Goes when it is dropped.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Crowd {
    /// Begins to come.
    pub(super) fn gather(gateway: &str, kind: Kind, count: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (gateway, of_thread) = (gateway.to_owned(), shared.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            LocalSet::new().block_on(&runtime, come(&gateway, kind, count, &of_thread));
            // Thousands of connections are not waited for one by one.
            runtime.shutdown_background();
            Ok(())
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Number of those that have come so far.
    pub(super) fn came(&self) -> usize {
        self.shared.came.load(Ordering::Relaxed)
    }

    /// Number of those that are still there.
    pub(super) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a crowd panicked"))));
        if let Some(Err(error)) = ended {
            eprintln!("{error:#}");
        }
    }
}

async fn come(gateway: &str, kind: Kind, count: usize, shared: &Arc<Shared>) {
    let text: Arc<[u8]> = kind.text().into();
    for first in (0..count).step_by(TOGETHER) {
        let some = (first..count.min(first + TOGETHER)).map(|at| wire::connect(gateway, address(at)));
        for (at, stream) in (first..).zip(crate::feeds::join_all(some).await) {
            shared.came.fetch_add(1, Ordering::Relaxed);
            let (shared, text, gateway) = (shared.clone(), text.clone(), gateway.to_owned());
            tokio::task::spawn_local(async move {
                let mut stream = stream.ok();
                loop {
                    if let Some(stream) = stream.take() {
                        shared.open.fetch_add(1, Ordering::Relaxed);
                        stay(stream, kind, &text, at).await;
                        shared.open.fetch_sub(1, Ordering::Relaxed);
                    }
                    // One that costs its members nothing is as large as ever, however often it is sent away.
                    if !kind.returns() || shared.is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    stream = wire::connect(&gateway, address(at)).await.ok();
                }
            });
        }
    }
    while !shared.is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The number of the address that a member comes from.
fn address(at: usize) -> u32 {
    0x1_0000 + at as u32 % ADDRESSES
}

/// Until the gateway ends it.
async fn stay(mut stream: TcpStream, kind: Kind, text: &[u8], at: usize) {
    let mut bytes = [0; 256];
    if kind != Kind::Slow {
        // What the gateway does not take is not sent.
        let _ = stream.write_all(text).await;
        while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        return;
    }
    // Spread over the second.
    tokio::time::sleep(Duration::from_micros(at as u64 * 100 % 1_000_000)).await;
    loop {
        if stream.write_all(b"G").await.is_err() {
            return;
        }
        let second = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut bytes));
        if second.await.is_ok_and(|read| !read.is_ok_and(|count| count > 0)) {
            return;
        }
    }
}
