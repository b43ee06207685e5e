use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use foremap::node::ReplicaFence;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::store::redis::connect::Connector;
use crate::store::redis::master::{Master, RequestKind};
use crate::store::redis::options::{Address, RedisOptions};

/// Behaviour of the server towards a pipeline.
#[derive(Clone, Copy)]
enum Deed {
    /// Answers its commands with `+fine`; so many replicas have acknowledged, the first of which is a member.
    Acknowledge(u16),
    /// The same, where the cluster lists so many.
    Members(u16, u16),
    /// As `Acknowledge(2)`, but the second is late until it is waited for.
    Come,
    /// Answers its commands with an error, the fence well.
    Err(&'static str),
    /// Answers its commands with an error, and the fence without replicas.
    ErrAlone(&'static str),
    /// Answers its commands well, and that the slot of the fence is on its way.
    FenceLeft,
    /// Answers well, having been a replica since the connection was opened.
    Return,
    /// Answers everything, the fence included, with an error.
    ErrAll(&'static str),
    /// Closes the connection.
    Close,
    /// Waits until it is told to go on, then answers well.
    Hold,
}

/// A server that does as it is told, pipeline by pipeline, and well after that.
struct Server {
    address: Address,
    connections: AtomicUsize,
    pipelines: AtomicUsize,
    is_replica: AtomicBool,
    go: Notify,
    /// Number of replicas that each fence waited for.
    waits: parking_lot::Mutex<Vec<u8>>,
}

impl Server {
    async fn start(deeds: &'static [Deed]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Address { host: "127.0.0.1".into(), port: listener.local_addr().expect("bound").port() };
        let counts = || AtomicUsize::new(0);
        let (is_replica, go) = (AtomicBool::new(false), Notify::new());
        let waits = parking_lot::Mutex::default();
        let server = Arc::new(Self { address, connections: counts(), pipelines: counts(), is_replica, go, waits });
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serving.clone().serve(socket, deeds));
            }
        });
        server
    }

    fn text(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    /// Answer of a server about its replication, with the offsets of its replicas.
    fn info(role: &str, id: &str, replicas: &[u16]) -> String {
        let line = |(at, offset)| format!("slave{at}:ip=10.0.0.{at},port=6379,state=online,offset={offset},lag=0\r\n");
        let replicas: String = replicas.iter().enumerate().map(line).collect();
        Self::text(&format!("# Replication\r\nrole:{role}\r\n{replicas}master_replid:{id}\r\n"))
    }

    /// The end of a fence: what `WAIT` came to, the replication, and the members.
    fn state(id: &str, replicas: &[u16], members: u16) -> String {
        let line = |at| Self::text(&format!("id{at} 10.0.0.{at}:6379@16379 slave node 0 0 1 connected"));
        let listed: String = (0..members).map(line).collect();
        format!(":{}\r\n{}*{members}\r\n{listed}", replicas.len(), Self::info("master", id, replicas))
    }

    /// A whole fence, which leaves the offset 9.
    fn fence(id: &str, replicas: &[u16], members: u16) -> String {
        ":1\r\n*3\r\n$6\r\nmaster\r\n:9\r\n*0\r\n".to_owned() + &Self::state(id, replicas, members)
    }

    async fn serve(self: Arc<Self>, mut socket: tokio::net::TcpStream, deeds: &'static [Deed]) {
        let (mut text, mut buffer) = (String::new(), [0; 4_096]);
        while let Ok(read @ 1..) = socket.read(&mut buffer).await {
            text += &String::from_utf8_lossy(&buffer[..read]);
            if text.ends_with("replication\r\n") && !text.contains("WAIT") {
                text.clear();
                let role = if self.is_replica.load(Ordering::SeqCst) { "slave" } else { "master" };
                let answer = Self::text("node") + &Self::info(role, "here", &[]);
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            if !text.ends_with("node\r\n") {
                continue;
            }
            let well = |replicas: u16| Self::fence("here", &vec![9; replicas.into()], 1);
            let commands = text.matches("PING").count();
            let again = !text.contains("EVAL");
            self.waits.lock().push(text.split("WAIT\r\n$1\r\n").nth(1).map_or(0, |n| n.as_bytes()[0] - b'0'));
            text.clear();
            let answer = if again {
                Self::state("here", &[9, 9], 1)
            } else {
                let turn = self.pipelines.fetch_add(1, Ordering::SeqCst);
                let fine = "+fine\r\n".repeat(commands);
                match deeds.get(turn).copied().unwrap_or(Deed::Acknowledge(1)) {
                    Deed::Acknowledge(replicas) => fine + &well(replicas),
                    Deed::Members(replicas, members) => fine + &Self::fence("here", &vec![9; replicas.into()], members),
                    Deed::Come => fine + &Self::fence("here", &[9, 8], 1),
                    Deed::Return => fine + &Self::fence("elsewhere", &[9], 1),
                    Deed::Err(line) => format!("-{line}\r\n").repeat(commands) + &well(1),
                    Deed::ErrAlone(line) => format!("-{line}\r\n").repeat(commands) + &well(0),
                    Deed::FenceLeft => fine + "-ASK 1 127.0.0.1:1" + well(1).trim_start_matches(":1"),
                    Deed::ErrAll(line) => format!("-{line}\r\n").repeat(commands + fence::COMMANDS),
                    Deed::Close => return,
                    Deed::Hold => {
                        self.go.notified().await;
                        fine + &well(1)
                    }
                }
            };
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// A master there that needs one replica.
    fn master(&self) -> Master {
        let options = RedisOptions::from_url(&format!("redis://{}", self.address)).expect("a URL");
        Master::new(self.address.clone(), Connector::new(&options), ReplicaFence::new(1), Arc::new(Notify::new()))
    }
}

async fn send(master: &Master, kind: RequestKind) -> oneshot::Receiver<SlotResult> {
    let (reply, answer) = oneshot::channel();
    let request = SlotRequest { commands: Arc::new([::redis::cmd("PING")]), asking: false, fence: "f".into(), reply };
    match master.queue(kind) {
        Ok(queue) => queue.send(vec![request]).await,
        Err(fault) => drop(request.reply.send(Err(fault))),
    }
    answer
}

/// One command on a queue that has one connection.
async fn ask(master: &Master) -> SlotResult {
    send(master, RequestKind::Poll).await.await.expect("an outcome")
}

fn fine() -> SlotResult {
    Ok(vec![Value::SimpleString("fine".into())])
}

#[tokio::test]
async fn what_is_not_acknowledged_by_all_replicas_does_not_count() {
    // A second replica has been added: it may be promoted too, and has to acknowledge.
    let deeds =
        &[Deed::Acknowledge(1), Deed::Acknowledge(0), Deed::Acknowledge(2), Deed::Members(1, 2), Deed::Members(2, 2)];
    let server = Server::start(deeds).await;
    let master = server.master();
    assert_eq!(ask(&master).await, fine());
    let told = ask(&master).await;
    assert!(matches!(&told, Err(Fault::Uncounted(why)) if why.contains("10.0.0.0:6379 is not attached")), "{told:?}");
    assert_eq!(master.status().lacking, ["10.0.0.0:6379"]);
    assert_eq!(ask(&master).await, fine());
    assert_eq!((master.status().outside, master.status().lacking.len(), master.status().trouble), (1, 0, None));
    let told = ask(&master).await;
    assert!(matches!(&told, Err(Fault::Uncounted(why)) if why.contains("10.0.0.1:6379 is not attached")), "{told:?}");
    assert_eq!(ask(&master).await, fine());
    assert_eq!(*server.waits.lock(), [1, 1, 1, 2, 2]);
}

#[tokio::test]
async fn a_replica_that_has_just_come_is_waited_for() {
    let server = Server::start(&[Deed::Come, Deed::Acknowledge(2), Deed::Acknowledge(1)]).await;
    let master = server.master();
    for _ in 0..4 {
        assert_eq!(ask(&master).await, fine());
    }
    assert_eq!(*server.waits.lock(), [1, 2, 2, 2, 1], "for both, until one has gone");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_before_execution_is_certain_and_a_lost_fence_is_not() {
    const MOVED: &str = "MOVED 1 127.0.0.1:1";
    let server = Server::start(&[
        Deed::Err(MOVED),
        Deed::ErrAll(MOVED),
        Deed::Err("ERR Function not found"),
        Deed::ErrAll("WRONGTYPE Operation against a key"),
        Deed::Err("WRONGTYPE Operation against a key"),
    ])
    .await;
    let master = server.master();
    for expected in ["Elsewhere", "Elsewhere", "NoFunctions", "Uncounted", "Failed"] {
        let told = format!("{:?}", ask(&master).await);
        assert!(told.contains(expected), "{told}");
    }
    assert_eq!(ask(&master).await, fine());
}

#[tokio::test]
async fn that_a_key_has_left_counts_no_more_than_that_it_is_absent() {
    const ASK: &str = "ASK 1 127.0.0.1:1";
    let server = Server::start(&[Deed::Err(ASK), Deed::ErrAlone(ASK)]).await;
    let master = server.master();
    let told = ask(&master).await.expect("a redirection is an answer");
    assert!(matches!(Fault::among(&told), Some(Fault::Asked { .. })), "{told:?}");
    // A deposed master: somebody else has the slot, and may have written the key.
    let told = ask(&master).await;
    assert!(matches!(told, Err(Fault::Uncounted(_))), "{told:?}");
}

#[tokio::test]
async fn a_fence_in_a_slot_that_leaves_is_raised_in_another() {
    let server = Server::start(&[Deed::FenceLeft, Deed::FenceLeft, Deed::Acknowledge(1), Deed::FenceLeft]).await;
    let master = server.master();
    master.offer(["a", "b", "c"].map(str::to_owned).to_vec());
    assert_eq!(ask(&master).await, fine());
    assert_eq!((server.pipelines.load(Ordering::SeqCst), server.connections.load(Ordering::SeqCst)), (3, 1));
    // Without another one, nobody knows.
    master.offer(vec!["a".to_owned()]);
    let told = ask(&master).await;
    assert!(matches!(told, Err(Fault::Uncounted(_))), "{told:?}");
}

#[tokio::test]
async fn a_broken_connection_is_not_mended_but_replaced() {
    let server = Server::start(&[Deed::Acknowledge(1), Deed::Close]).await;
    let master = server.master();
    assert_eq!(ask(&master).await, fine());
    let told = ask(&master).await;
    assert!(matches!(told, Err(Fault::Dropped(_))), "not sent again behind the caller's back: {told:?}");
    assert_eq!(server.pipelines.load(Ordering::SeqCst), 2);
    assert_eq!(ask(&master).await, fine());
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    assert_eq!((master.status().attempts, master.status().failures), (3, 1));
}

#[tokio::test]
async fn what_a_master_said_does_not_count_if_it_was_a_replica_before_the_fence() {
    let server = Server::start(&[Deed::Acknowledge(1), Deed::Return]).await;
    let master = server.master();
    assert_eq!(ask(&master).await, fine());
    let told = ask(&master).await;
    assert!(matches!(told, Err(Fault::Dropped(_))), "all replicas acknowledged other data: {told:?}");
    assert_eq!(ask(&master).await, fine(), "on a new connection");
    assert_eq!((server.connections.load(Ordering::SeqCst), master.status().failures), (2, 0));
}

#[tokio::test]
async fn nothing_is_sent_to_a_replica() {
    let server = Server::start(&[]).await;
    server.is_replica.store(true, Ordering::SeqCst);
    let master = server.master();
    let told = ask(&master).await;
    assert!(matches!(told, Err(Fault::Elsewhere(_))), "{told:?}");
    server.is_replica.store(false, Ordering::SeqCst);
    assert_eq!(ask(&master).await, fine());
    assert_eq!(server.pipelines.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn behind_an_open_breaker_nothing_is_sent() {
    let server = Server::start(&[Deed::Acknowledge(0); 1_000]).await;
    let master = server.master();
    let mut refused = 0;
    for _ in 0..100 {
        match ask(&master).await {
            Err(Fault::Refused(_)) => refused += 1,
            Err(Fault::Uncounted(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    let status = master.status();
    assert_eq!(server.pipelines.load(Ordering::SeqCst) as u64, status.attempts);
    assert_eq!(refused + status.attempts, 100);
    assert!(refused > 50 && status.failures == status.attempts, "{status:?}");
}

#[tokio::test]
async fn while_a_pipeline_is_on_its_way_requests_collect_behind_it() {
    let server = Server::start(&[Deed::Hold]).await;
    let master = server.master();
    let first = send(&master, RequestKind::Poll).await;
    while server.pipelines.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let later = [
        send(&master, RequestKind::Poll).await,
        send(&master, RequestKind::Poll).await,
        send(&master, RequestKind::Poll).await,
    ];
    assert_eq!(master.status().waiting.0, 3);
    // A read does not wait for the poll.
    assert_eq!(send(&master, RequestKind::Read).await.await.expect("an outcome"), fine());
    server.go.notify_one();
    assert_eq!(first.await.expect("an outcome"), fine());
    for answer in later {
        assert_eq!(answer.await.expect("an outcome"), fine());
    }
    assert_eq!(server.pipelines.load(Ordering::SeqCst), 3, "the held one, the read, and the three together");
}
