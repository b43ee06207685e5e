//! [`Lanes`]: the threads that serve connections.
//!
//! A connection stays on one thread from its first request to its last. Where any thread may take up any request, one
//! thread wakes another for nearly each, and that costs more than answering from memory does.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};

use super::entry::{Entry, Requests};
use super::server::Server;
use super::socket::Socket;
use crate::host::Calls;

/// Connections that wait for a thread to take them up.
const WAITING: usize = 128;
/// Wait after a failure to accept that another attempt would meet again, such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// As many threads as there are processors, each with the connections that were given to it in turn. They end when the
/// last reference is dropped. A runtime that has one thread only serves all connections itself.
pub struct Lanes {
    lanes: Vec<mpsc::Sender<Connection>>,
    next: AtomicUsize,
}

struct Connection {
    stream: TcpStream,
    entry: Entry,
    /// One for whoever serves requests, one for a feed that takes the connection.
    watchers: [Watcher; 2],
}

impl Connection {
    /// Serves it on the runtime of this thread.
    fn serve(self) {
        let Ok(stream) = tokio::net::TcpStream::from_std(self.stream) else { return };
        let peer = stream.peer_addr().ok().map(|address| address.ip());
        let (socket, [watcher, spare]) = (Socket::new(stream), self.watchers);
        let watcher_of_feed = Arc::new(Mutex::new(Some(spare)));
        let requests = Requests { entry: self.entry, socket: socket.clone(), watcher: watcher_of_feed, peer };
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(socket, requests);
        // It fails where the caller goes away or speaks something else, and nobody is left to tell; and where a feed has
        // taken it over.
        tokio::spawn(async move { drop(watcher.watch(connection).await) });
    }
}

impl Lanes {
    /// Starts them, from inside a runtime.
    ///
    /// # Errors
    /// The system's, where it gives no thread or no event queue.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let count = match Handle::current().metrics().num_workers() {
            1 => 0,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let lanes = (0..count).map(lane).collect::<std::io::Result<_>>()?;
        Ok(Arc::new(Self { lanes, next: AtomicUsize::new(0) }))
    }

    /// Accepts connections for `server` until `stopped` becomes true, then waits for the requests in flight.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        server: Arc<Server>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let entry = Entry::new(server);
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                accepted = accept(&listener) => accepted,
            };
            let Some(stream) = accepted else { continue };
            let connection =
                Connection { stream, entry: entry.clone(), watchers: [connections.watcher(), connections.watcher()] };
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            match turn.checked_rem(self.lanes.len()) {
                None => connection.serve(),
                // A lane ends with the last reference only.
                Some(lane) => drop(self.lanes[lane].send(connection).await),
            }
        }
        drop(listener);
        connections.shutdown().await;
    }
}

/// `None` where there is no connection after all.
async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    match listener.accept().await {
        // Without it, an answer in two parts would wait for the caller's acknowledgement of the first.
        Ok((stream, _)) => stream.set_nodelay(true).and_then(|()| stream.into_std()).ok(),
        Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => None,
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

fn lane(at: usize) -> std::io::Result<mpsc::Sender<Connection>> {
    let (sender, connections) = mpsc::channel(WAITING);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("lane-{at}")).spawn(move || run(&runtime, connections))?;
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
