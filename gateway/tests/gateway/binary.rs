//! The real binary: start, failure to start, shutdown.

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::client::Client;

/// A process that is killed at the end of the test, whatever happens.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) origins: Vec<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key file that is its owner's alone.
pub(crate) fn write_key(path: &Path, secret: &str) {
    std::fs::write(path, secret).expect("writable");
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foremap-gateway"));
    command.args(["--log", "error"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    /// `dev` with `nodes` nodes on free ports; returns when all are ready.
    pub(crate) fn dev(store: &Path, nodes: usize, more: &[&str]) -> Self {
        let mut command = command();
        command.args(["dev", "--port", "0", "--nodes", &nodes.to_string(), "--store"]).arg(store).args(more);
        Self::start(command, 1, nodes)
    }

    /// The same over a shared store, as nodes from `first` on.
    pub(crate) fn dev_over(store: &str, first: usize, nodes: usize) -> Self {
        let mut command = command();
        command.args(["dev", "--port", "0", "--nodes", &nodes.to_string(), "--store", store]);
        command.args(["--node", &first.to_string()]);
        Self::start(command, first, nodes)
    }

    /// `serve` as node `id` at `address`, over a shared store; returns when it is ready.
    pub(crate) fn serve(store: &str, id: usize, address: &str) -> Self {
        let mut command = command();
        command.args(["serve", "--store", store, "--node", &id.to_string(), "--listen", address]);
        Self::start(command, id, 1)
    }

    /// `serve` over a file, with a listener for operators; returns where that is as well.
    pub(crate) fn with_admin(store: &Path, more: &[&str]) -> (Self, String) {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store"]);
        command.arg(store).args(more);
        let (process, mut lines) = Self::begin(command, 1, 1);
        let line = lines.next().expect("a line more").expect("text");
        (process, line.strip_prefix("admin ready at ").expect("that of the listener").to_owned())
    }

    fn start(command: Command, first: usize, nodes: usize) -> Self {
        Self::begin(command, first, nodes).0
    }

    fn begin(mut command: Command, first: usize, nodes: usize) -> (Self, Lines<BufReader<ChildStdout>>) {
        let mut child = command.spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut process = Self { child, origins: Vec::new() };
        for (id, line) in (first..first + nodes).zip(lines.by_ref()) {
            let line = line.expect("text");
            let origin = line.strip_prefix(&format!("node {id} ready at ")).expect("a line of a node").to_owned();
            process.origins.push(origin);
        }
        if process.origins.len() < nodes {
            let mut error = String::new();
            let _ = process.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut error));
            panic!("the gateway did not start: {error}");
        }
        (process, lines)
    }

    pub(crate) fn url(&self, id: usize, path: &str) -> String {
        format!("{}{path}", self.origins[id - 1])
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Runs to its end; the exit code and what it said on standard error.
fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = command().args(args).output().expect("the binary runs");
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

pub(crate) fn fails_in_one_line(args: &[&str], about: &str) {
    let (code, said) = fails(args);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("foremap-gateway: ") && said.contains(about), "{said}");
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_said_in_one_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").port().to_string();
    fails_in_one_line(
        &["dev", "--port", &taken, "--store", &path("a")],
        &format!("cannot listen on 127.0.0.1:{taken}"),
    );
    fails_in_one_line(&["dev", "--port", "65535", "--store", &path("a")], "beyond 65535");

    let store = path("used");
    let running = Process::dev(Path::new(&store), 1, &[]);
    fails_in_one_line(&["dev", "--port", "0", "--store", &store], "is in use by another process");
    let written = Client::new().put(&running.url(1, "/v1/keymap?key=a/b"), "x").await;
    assert_eq!(written.status, StatusCode::CREATED, "the first process is not disturbed");
    drop(running);

    let mut bytes = std::fs::read(&store).expect("readable");
    let length = bytes.len();
    std::fs::write(path("cut"), &bytes[..length / 3]).expect("writable");
    fails_in_one_line(&["dev", "--port", "0", "--store", &path("cut")], "is damaged or not a store");
    bytes[4_096..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0xff);
    std::fs::write(path("broken"), &bytes).expect("writable");
    fails_in_one_line(&["dev", "--port", "0", "--store", &path("broken")], "is damaged or not a store");
    std::fs::write(path("text"), "not a store\n".repeat(999)).expect("writable");
    fails_in_one_line(&["dev", "--port", "0", "--store", &path("text")], "is damaged or not a store");

    fails_in_one_line(&["dev", "--port", "0", "--store", &path("no/such/store")], "cannot be opened for writing");
    fails_in_one_line(&["dev", "--port", "0", "--store", &path("")], "cannot be opened for writing");
    fails_in_one_line(&["serve", "--listen", "0.0.0.0:0", "--store", &path("a")], "--token-key");
    fails_in_one_line(&["serve", "--listen", "127.0.0.1:0", "--store", &path("a"), "--replicas", "2"], "redis://");
    let nowhere = "redis://127.0.0.1:1";
    let impatient = ["serve", "--listen", "127.0.0.1:0", "--store", nowhere, "--patience", "0"];
    fails_in_one_line(&impatient, "cannot be reached");
    fails_in_one_line(&["serve", "--listen", "127.0.0.1:0", "--store", nowhere, "--no-store-check"], "store file");
    let (code, said) = fails(&["serve", "--store", "redis://nowhere"]);
    assert!(code == Some(2) && said.contains("`nowhere` is not host:port"), "{said}");
    write_key(Path::new(&path("short")), "secret");
    let args = ["serve", "--listen", "127.0.0.1:0", "--store", &path("a"), "--token-key", &path("short")];
    fails_in_one_line(&args, "at least 32 bytes");
    assert_eq!(fails(&["dev", "--nodes", "0", "--store", &path("a")]).0, Some(2));
}

#[tokio::test]
async fn a_signal_lets_requests_in_flight_finish_and_closes_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("s");
    for name in ["TERM", "INT"] {
        let mut process = Process::dev(&store, 2, &[]);
        let client = Client::new();
        let key = format!("/v1/keymap?key=a/{name}");
        let mut stream = TcpStream::connect(process.origins[1].trim_start_matches("http://")).expect("connected");
        let (content, body) = ("content-type: application/json", r#"{"locator":"x"}"#);
        let length = body.len();
        let head = format!(
            "PUT {key} HTTP/1.1\r\nhost: localhost\r\n{content}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        // Whoever asks for the body has begun with the request.
        let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
        let mut line = || lines.next().expect("a line").expect("readable");
        assert_eq!((line(), line()), ("HTTP/1.1 100 Continue".to_owned(), String::new()));
        process.signal(name);
        stream.write_all(body.as_bytes()).expect("sent");
        assert_eq!(line(), "HTTP/1.1 201 Created", "{name}");
        assert_eq!(process.wait(), Some(0), "{name}");
        // Everything is there, and the map of two nodes came back.
        let again = Process::dev(&store, 2, &[]);
        assert_eq!(client.get(&again.url(1, &key)).await.json()["locator"], "x");
    }
}

#[tokio::test]
async fn injected_latency_is_slept_each_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let process = Process::dev(&dir.path().join("s"), 1, &["--origin-latency", "80"]);
    let client = Client::new();
    client.get(&process.url(1, "/healthz")).await;
    let begun = Instant::now();
    client.get(&process.url(1, "/v1/keymap?key=a/b")).await;
    assert!(begun.elapsed() >= Duration::from_millis(160));
}

#[tokio::test]
async fn tokens_of_the_command_line_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("key");
    write_key(&key, "0123456789abcdef0123456789abcdef\n");
    let key = key.to_str().expect("text");
    let process = Process::dev(&dir.path().join("s"), 1, &["--token-key", key]);
    let sign = |more: &[&str]| {
        let output = command().args(["token", "--key", key]).args(more).output().expect("the binary runs");
        assert!(output.status.success());
        format!("Bearer {}", String::from_utf8(output.stdout).expect("text").trim())
    };
    let client = Client::new();
    let get = async |token: &str| {
        let url = process.url(1, "/v1/keymap?key=a/b/c");
        client.send(axum::http::Method::GET, &url, &[("authorization", token)], "").await.code()
    };
    assert_eq!(get(&sign(&["--verbs", "get,list", "--prefix", "a/b", "--ttl", "15m"])).await, "NOT_FOUND");
    assert_eq!(get(&sign(&["--verbs", "put", "--prefix", "a/b"])).await, "FORBIDDEN");
    assert_eq!(get(&sign(&["--verbs", "get", "--prefix", "a/bc"])).await, "FORBIDDEN");
    assert_eq!(get("").await, "UNAUTHENTICATED");
}
