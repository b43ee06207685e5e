//! [`Workers`]: the threads that serve connections.
//!
//! A connection stays on one thread from its first request to its last. Where any thread may take up any request, one
//! thread wakes another for nearly each, and that costs more than answering from memory does.

use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foremap::node::Subject;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};

use super::connections::Ticket;
use super::endpoint::{ConnectionService, Endpoint};
use super::head::{self, First, Turned};
use super::limits::Limits;
use super::receiving::MemoryReservation;
use super::server::Server;
use super::socket::Socket;
use crate::host::Calls;

/// Connections that wait for a thread to take them up.
const WAITING: usize = 128;
/// Longest time for the head of a connection on a reserved place: whoever asks how the node is sends it at once.
const RESERVED_HEAD: Duration = Duration::from_secs(1);
/// Wait after a failure to accept that another attempt would meet again, such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// As many threads as there are processors, each with the connections that were given to it in turn. They end when the
/// last reference is dropped. A runtime that has one thread only serves all connections itself.
pub struct Workers {
    workers: Vec<mpsc::Sender<Connection>>,
    next: AtomicUsize,
}

struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    endpoint: Endpoint,
    ticket: Ticket,
    /// One for whoever serves requests, one for a feed that takes the connection.
    watchers: [Watcher; 2],
}

impl Connection {
    /// Serves it on the runtime of this thread, once it has sent a head.
    fn serve(self) {
        let Self { stream, peer, endpoint, ticket, watchers } = self;
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
        tokio::spawn(async move {
            if first(&stream, &endpoint, &ticket).await {
                // Boxed: who never sends a head costs no room for it.
                Box::pin(answer(stream, peer, endpoint, ticket, watchers)).await;
            }
        });
    }
}

/// Tells whether the connection is to be served, once that can be told.
async fn first(stream: &tokio::net::TcpStream, endpoint: &Endpoint, ticket: &Ticket) -> bool {
    let server = &endpoint.server;
    let (limits, mut stop) = (&server.options.limits, server.stop.clone());
    let patience = if ticket.is_reserved() { limits.head.min(RESERVED_HEAD) } else { limits.head };
    let first = tokio::select! {
        first = head::wait(stream, patience) => first,
        () = ticket.displaced() => return false,
        _ = stop.wait_for(|stop| *stop) => return false,
    };
    match first {
        First::Head { about_health } if about_health || !ticket.is_reserved() => return ticket.settle(),
        First::Head { .. } => {
            endpoint.connections.refuse();
            head::turn_away(stream, Turned::Full);
        }
        First::TooLong => head::turn_away(stream, Turned::TooLong),
        First::TooLate => {
            server.receiving.late();
            head::turn_away(stream, Turned::TooLate);
        }
        First::Nothing => {}
    }
    false
}

/// Answers its requests until it ends, or a feed takes it.
async fn answer(
    stream: tokio::net::TcpStream,
    peer: IpAddr,
    endpoint: Endpoint,
    ticket: Ticket,
    [watcher, spare]: [Watcher; 2],
) {
    let (server, ticket) = (endpoint.server.clone(), Arc::new(ticket));
    let socket = Socket::new(stream, MemoryReservation::new(server.receiving.clone(), ticket.subject()));
    let watcher_of_feed = Arc::new(Mutex::new(Some(spare)));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(server.options.limits.idle);
    builder.max_buf_size(Limits::HEAD_BYTES).keep_alive(!ticket.is_reserved());
    let service = ConnectionService { endpoint, socket: socket.clone(), watcher: watcher_of_feed, ticket, peer };
    // It fails where the caller goes away, takes too long or speaks something else, and nobody is left to tell; and where
    // a feed has taken it over.
    drop(watcher.watch(builder.serve_connection(socket, service)).await);
}

impl Workers {
    /// Starts them, from inside a runtime.
    ///
    /// # Errors
    /// The system's, where it gives no thread or no event queue.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let count = match Handle::current().metrics().num_workers() {
            1 => 0,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let workers = (0..count).map(worker).collect::<std::io::Result<_>>()?;
        Ok(Arc::new(Self { workers, next: AtomicUsize::new(0) }))
    }

    /// Accepts connections for `server` until `stopped` becomes true, then waits for the requests in flight.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        server: Arc<Server>,
        mut stopped: watch::Receiver<bool>,
    ) {
        self.accept_all(listener, Endpoint::new(server), &mut stopped).await;
    }

    async fn accept_all(&self, listener: TcpListener, endpoint: Endpoint, stopped: &mut watch::Receiver<bool>) {
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                accepted = accept(&listener) => accepted,
            };
            let Some((stream, peer)) = accepted else { continue };
            let Some(ticket) = enter(&endpoint, peer) else { continue };
            let watchers = [connections.watcher(), connections.watcher()];
            let connection = Connection { stream, peer, endpoint: endpoint.clone(), ticket, watchers };
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            match turn.checked_rem(self.workers.len()) {
                None => connection.serve(),
                // A worker ends with the last reference only.
                Some(worker) => drop(self.workers[worker].send(connection).await),
            }
        }
        drop(listener);
        connections.shutdown().await;
    }
}

/// Serves operators on a thread of its own, which nothing that happens to the others holds up, until `stopped` becomes true.
///
/// # Errors
/// The system's, where it gives no thread or no event queue.
pub fn serve_admin(
    listener: std::net::TcpListener,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    std::thread::Builder::new().name("admin".into()).spawn(move || {
        let workers = Workers { workers: Vec::new(), next: AtomicUsize::new(0) };
        runtime.block_on(workers.accept_all(listener, Endpoint::admin(server), &mut stopped));
    })?;
    Ok(())
}

/// A place for a connection of `peer`. Proxies that are trusted stand for many, and have no share of their own.
fn enter(endpoint: &Endpoint, peer: IpAddr) -> Option<Ticket> {
    let peer = peer.to_canonical();
    let is_trusted = endpoint.server.options.trusted_proxies.iter().any(|network| network.contains(&peer));
    endpoint.connections.enter(if is_trusted { Subject::default() } else { Subject::of_address(peer) })
}

/// `None` where there is no connection after all.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, IpAddr)> {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    match listener.accept().await {
        // Without it, an answer in two parts would wait for the caller's acknowledgement of the first.
        Ok((stream, peer)) => {
            let stream = stream.set_nodelay(true).and_then(|()| stream.into_std()).ok()?;
            Some((stream, peer.ip()))
        }
        Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => None,
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

fn worker(at: usize) -> std::io::Result<mpsc::Sender<Connection>> {
    let (sender, connections) = mpsc::channel(WAITING);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("worker-{at}")).spawn(move || run(&runtime, connections))?;
    Ok(sender)
}

fn run(runtime: &Runtime, mut connections: mpsc::Receiver<Connection>) {
    let calls = Arc::new(Calls::default());
    calls.enter();
    runtime.block_on(async {
        loop {
            tokio::select! {
                connection = connections.recv() => match connection {
                    Some(connection) => connection.serve(),
                    None => break,
                },
                () = calls.answer() => {}
            }
        }
    });
}
