//! The whole HTTP interface of a gateway over a redb store, without sockets.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::NodeConfig;
use foremap::partition::{MapDelta, MapNode, PartitionMap};
use foremap::protocol::{
    BatchRequest, BatchResponse, CONTENT_TYPE, FeedReader, Keymap, ListPage, PROBLEM_CONTENT_TYPE, Problem,
};
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::host::{Process, ShareTask, ShifterMode, Tailers};
use foremap_gateway::http::{HttpOptions, Server, router};
use foremap_gateway::run::ShareOptions;
use foremap_gateway::store::{RedbOptions, RedbStore, Values as _};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::token::SECRET;

/// Between two requests of one input.
const SEPARATOR: &[u8] = b"\n---\n";
/// Most requests of one input.
const MAX_REQUESTS: usize = 8;
/// Longest path and query: what servers commonly take.
const MAX_TARGET: usize = 16 << 10;
/// Stands for a valid token of the node that checks them.
const TOKEN: &str = "{token}";

/// Three nodes of one process; requests arrive at the first, which owns a third of the keys.
struct Gateway {
    runtime: Runtime,
    open: Router,
    guarded: Router,
    token: String,
    _stop: watch::Sender<bool>,
}

impl Gateway {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        // In memory where there is such a folder: a commit then costs microseconds.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder");
        let store = RedbStore::open(&folder.path().join("store"), &RedbOptions::default()).expect("a store");
        // The open file outlives its name, and nothing is left behind however the process ends.
        drop(folder);
        let node = |id| MapNode { id, origin: format!("http://127.0.0.1:{id}"), weight: 1 };
        let map = Arc::new(PartitionMap::new(3, 1_024, store.layout(), (1..=3).map(node).collect()));
        let configs: Vec<_> =
            (1..=3).map(|id| NodeConfig { memory_entries: 1_000, ..NodeConfig::new(id, 5) }).collect();
        let made = Process::new(Arc::new(store), &map, &configs, None, ShifterMode::Off);
        let process = Arc::new(made.expect("a valid map").0);
        let (stop, stopped) = watch::channel(false);
        runtime.block_on(async {
            let tailers = Tailers::start(process.clone()).await.expect("a store that works");
            tokio::spawn(tailers.run(stopped.clone()));
            tokio::spawn(ShareTask::new(process.clone(), ShareOptions::default()).run(stopped.clone()));
        });
        let key = TokenKey::new(SECRET).expect("long enough");
        let prefixes = [KeyPrefix::parse("user").expect("valid")];
        let token = key.sign(&[Verb::Get, Verb::Put, Verb::List], &prefixes, 86_400).expect("signed");
        let serve = |token_key| {
            let options =
                HttpOptions { token_key, cors_origins: vec!["http://localhost:*".into()], ..HttpOptions::default() };
            let first = process.nodes().next().expect("three nodes").clone();
            router(Server::new(process.clone(), first, options, stopped.clone()))
        };
        Self { open: serve(None), guarded: serve(Some(key)), runtime, token, _stop: stop }
    }

    /// The answer and its whole body; of an endless body, the first event.
    fn send(&self, guarded: bool, request: Request<Body>) -> Response<Vec<u8>> {
        let router = if guarded { &self.guarded } else { &self.open };
        let is_feed = request.uri().path() == "/v1/changes";
        self.runtime.block_on(async {
            let Ok(response) = router.clone().oneshot(request).await;
            let (head, mut body) = response.into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
            let bytes = if kind.starts_with(b"text/event-stream") || (is_feed && kind == CONTENT_TYPE.as_bytes()) {
                let frame = body.frame().await.and_then(Result::ok);
                frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default()
            } else {
                body.collect().await.expect("a body that ends").to_bytes()
            };
            Response::from_parts(head, bytes.to_vec())
        })
    }
}

fn with_gateway<T>(use_it: impl FnOnce(&Gateway) -> T) -> T {
    static GATEWAY: OnceLock<Mutex<Gateway>> = OnceLock::new();
    let gateway = GATEWAY.get_or_init(|| Mutex::new(Gateway::start()));
    use_it(&gateway.lock())
}

/// Up to eight requests as text, parted by a line `---`: method and target, header lines, an empty line, the body.
/// A `!` before the method addresses the node that checks tokens; `{token}` in a header is a valid one.
pub fn http(data: &[u8]) -> bool {
    with_gateway(|gateway| {
        let mut rest = Some(data);
        let mut accepted = false;
        for _ in 0..MAX_REQUESTS {
            let Some(bytes) = rest else { break };
            let cut = bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
            rest = cut.map(|at| &bytes[at + SEPARATOR.len()..]);
            accepted |= exchange(gateway, &bytes[..cut.unwrap_or(bytes.len())]);
        }
        accepted
    })
}

fn exchange(gateway: &Gateway, text: &[u8]) -> bool {
    let (guarded, text) = text.strip_prefix(b"!").map_or((false, text), |rest| (true, rest));
    let Some((method, target, headers, body)) = read(text, &gateway.token) else { return false };
    let build = || {
        let request = Request::builder().method(method.clone()).uri(&target);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(name.as_str(), value.as_str()));
        request.body(Body::from(body.to_vec()))
    };
    let Ok(request) = build() else { return false };
    let path = request.uri().path().to_owned();
    let batch = || {
        let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
        if kind == CONTENT_TYPE { BatchRequest::decode(body).ok() } else { serde_json::from_slice(body).ok() }
    };
    let batch = (path == "/v1/batch").then(batch).flatten();
    let unsigned = !request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains(&gateway.token)));
    let response = gateway.send(guarded, request);
    assert_answer(&method, &path, &response);
    if path == "/v1/changes" && method == Method::POST && response.status() == StatusCode::OK {
        let frames = FeedReader::default().push(response.body()).expect("frames");
        assert!(frames.len() == 1 && frames[0].hello.is_some(), "{frames:?}");
    }
    if guarded && unsigned && path.starts_with("/v1/") {
        assert!(!response.status().is_success() || method == Method::OPTIONS, "{path} answered without a token");
    }
    if path == "/v1/batch" && response.status() == StatusCode::OK && method == Method::POST {
        let asked = batch.expect("what was answered can be read").items.len();
        assert_eq!(answer_of(&response).results.len(), asked, "one result for each key");
    }
    response.status().is_success()
}

type Text<'a> = (Method, String, Vec<(String, String)>, &'a [u8]);

/// The parts of a request's text; `None` where it is none that a server would hand on.
fn read<'a>(text: &'a [u8], token: &str) -> Option<Text<'a>> {
    let cut = text.windows(2).position(|window| window == b"\n\n");
    let (head, body) = cut.map_or((text, &[][..]), |at| (&text[..at], &text[at + 2..]));
    let mut lines = std::str::from_utf8(head).ok()?.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    if !target.starts_with('/') || target.len() > MAX_TARGET {
        return None;
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().replace(TOKEN, token)))
    };
    let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
    Some((Method::from_bytes(method.as_bytes()).ok()?, target.to_owned(), headers, body))
}

/// Asserts what every answer keeps to: no failure of an intact node, and each refusal a problem with its own status.
fn assert_answer(method: &Method, path: &str, response: &Response<Vec<u8>>) {
    let (status, body) = (response.status(), response.body());
    assert!(!status.is_server_error(), "{method} {path}: {status} {}", String::from_utf8_lossy(body));
    if method == Method::HEAD {
        return;
    }
    if status.is_client_error() {
        assert_eq!(kind(response), PROBLEM_CONTENT_TYPE);
        let problem: Problem = serde_json::from_slice(body).expect("problem details");
        assert_eq!((problem.status, problem.code.status()), (status.as_u16(), status.as_u16()));
        assert!(!problem.detail.is_empty());
    } else if kind(response) == "application/json" {
        let _: Value = serde_json::from_slice(body).expect("JSON as it says");
    } else if status == StatusCode::NOT_MODIFIED {
        assert!(body.is_empty());
    }
}

fn kind(response: &Response<Vec<u8>>) -> &str {
    response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answer_of(response: &Response<Vec<u8>>) -> BatchResponse {
    match kind(response) {
        CONTENT_TYPE => BatchResponse::decode(response.body()).expect("the protocol"),
        _ => serde_json::from_slice(response.body()).expect("the protocol"),
    }
}

/// A route by the first byte, its query by the rest; accepted queries lead on as they say.
pub fn query(data: &[u8]) -> bool {
    const ROUTES: [&str; 6] = ["/v1/keymap", "/v1/versions", "/v1/list", "/v1/map", "/v1/locate", "/v1/changes"];
    let Some((&first, rest)) = data.split_first() else { return false };
    let route = ROUTES[usize::from(first) % ROUTES.len()];
    let Ok(query) = std::str::from_utf8(rest) else { return false };
    let binary = first >= 128;
    with_gateway(|gateway| {
        let get = |query: &str| {
            if route.len() + query.len() > MAX_TARGET {
                return None;
            }
            let mut request = Request::builder().uri(format!("{route}?{query}"));
            if binary {
                request = request.header(header::ACCEPT, CONTENT_TYPE);
            }
            let response = gateway.send(false, request.body(Body::empty()).ok()?);
            assert_answer(&Method::GET, route, &response);
            (response.status() == StatusCode::OK).then_some(response)
        };
        let Some(response) = get(query) else { return false };
        match route {
            "/v1/keymap" => assert_keymap(&response),
            "/v1/list" => assert_list(query, &response, get),
            "/v1/map" => assert_map(&response),
            "/v1/changes" => assert_feed(query, &response, get),
            _ => {}
        }
        true
    })
}

fn assert_keymap(response: &Response<Vec<u8>>) {
    let keymap: Keymap = match kind(response) {
        CONTENT_TYPE => Keymap::decode(response.body()).expect("a keymap"),
        _ => serde_json::from_slice(response.body()).expect("a keymap"),
    };
    assert_eq!(response.headers()[header::ETAG], format!("\"{}\"", keymap.version));
}

fn assert_map(response: &Response<Vec<u8>>) {
    if kind(response) == CONTENT_TYPE {
        let bytes = response.body();
        assert!(PartitionMap::decode(bytes).is_ok() || MapDelta::decode(bytes).is_ok());
    } else {
        let map: PartitionMap = serde_json::from_slice(response.body()).expect("a map");
        assert_eq!(response.headers()[header::ETAG], format!("\"{:016x}\"", map.hash()));
    }
}

fn keys_of(response: &Response<Vec<u8>>) -> (Vec<CompositeKey>, Option<String>) {
    if kind(response) == CONTENT_TYPE {
        let page = ListPage::decode(response.body()).expect("a page");
        return (page.items.into_iter().map(|(keymap, _)| keymap.key).collect(), page.next);
    }
    let body: Value = serde_json::from_slice(response.body()).expect("a page");
    let items: Vec<Keymap> = serde_json::from_value(body["items"].clone()).expect("keymaps");
    (items.into_iter().map(|item| item.key).collect(), body["next"].as_str().map(str::to_owned))
}

/// In order, and the next page goes on behind this one.
fn assert_list(query: &str, response: &Response<Vec<u8>>, get: impl Fn(&str) -> Option<Response<Vec<u8>>>) {
    let (keys, next) = keys_of(response);
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    let Some(next) = next else { return };
    let others = query.split('&').filter(|pair| !pair.starts_with("cursor") && !pair.contains('%'));
    let query = others.chain([&*format!("cursor={next}")]).collect::<Vec<_>>().join("&");
    // The parameters left out may have been the prefix; then this is another list, and its cursor another one.
    if let Some(response) = get(&query) {
        let (more, _) = keys_of(&response);
        assert!(more.first() > keys.last() || more.is_empty());
    }
}

/// The id of an event resumes the feed where the event ended.
fn assert_feed(query: &str, response: &Response<Vec<u8>>, get: impl Fn(&str) -> Option<Response<Vec<u8>>>) {
    let event = |response: &Response<Vec<u8>>| {
        let text = String::from_utf8(response.body().clone()).expect("an event");
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()));
        let data: BatchResponse = serde_json::from_str(&field("data:").expect("data")).expect("an answer");
        (field("id:").unwrap_or_default(), data)
    };
    let (id, data) = event(response);
    assert_eq!(id.split(',').filter(|part| !part.is_empty()).count(), data.positions.len());
    if query.len() + id.len() < MAX_TARGET / 2 && !id.is_empty() {
        let again = get(&format!("since={id}")).expect("an id is a cursor");
        let (resumed, _) = event(&again);
        let shards =
            |id: &str| id.split(',').filter_map(|c| c.split(':').next().map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(shards(&resumed), shards(&id));
    }
}
