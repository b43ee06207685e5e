//! The Partition Shifter at work: a tenant turns hot, and its load is spread, without a request that fails.
//!
//! Rounds last two seconds of real time, so these tests wait for what is to come, for a minute at most.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use foremap::control::{Member, MemberState};
use foremap::key::KeyPrefix;
use foremap::partition::{MapNode, PartitionMap};
use foremap::protocol::KeymapFields;
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::host::{Process, ShifterMode};
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start_over};
use foremap_gateway::store::{
    Blob, ChangeLog as _, Expect, Namespace as _, RedbOptions, Registry as _, Values as _, Write,
};
use serde_json::{Value, json};

use crate::client::{Client, Gateway};
use crate::demand::{Demand, hot_key};
use crate::shared::{Gate, Shared, agree, until};

const NODES: usize = 6;
const JSON: (&str, &str) = ("content-type", "application/json");

/// Six nodes in one process over a store of its own.
async fn start(store: &Arc<Shared>) -> Running {
    let options = Options {
        admin_listen: None,
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)); NODES],
        origin: None,
        node: 1,
        store: StoreOptions::File { path: "unused".into(), options: RedbOptions::default() },
        memory_entries: 10_000,
        patience: Duration::ZERO,
        share: ShareOptions::default(),
        shifter: ShifterMode::Auto,
        http: HttpOptions::default(),
    };
    start_over(store.clone(), options).await.expect("started")
}

pub(crate) async fn freeze(origin: &str, frozen: bool) {
    let body = json!({ "frozen": frozen }).to_string();
    let reply = Client::new().send(Method::POST, &format!("{origin}/v1/shifter/freeze"), &[JSON], body).await;
    assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({ "frozen": frozen })));
}

async fn plan(origin: &str) -> Value {
    let reply = Client::new().send(Method::GET, &format!("{origin}/v1/plan"), &[], "").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()
}

fn epoch(process: &Process) -> u64 {
    process.map().borrow().epoch.number
}

/// Waits for so many rounds of the coordinator at `origin`.
async fn rounds(origin: &str, count: u64) {
    let reports = async || plan(origin).await["stats"]["reports"].as_u64().expect("a count");
    let wanted =
        reports().await + count * plan(origin).await["loads"].as_object().map_or(1, |loads| loads.len().max(1)) as u64;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while reports().await < wanted {
        assert!(tokio::time::Instant::now() < deadline, "no reports");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_tenant_is_spread_warm_and_nothing_is_written_but_the_map() {
    let store = Shared::alone();
    let running = start(&store).await;
    let process = running.process().clone();
    let origin = format!("http://{}", running.addresses[1]);
    for n in 0..40 {
        let fields = KeymapFields { locator: format!("at-{n}"), ..KeymapFields::default() };
        let write = Write { key: hot_key(n), fields: Some(fields), expect: Expect::Any, id: None };
        store.write(write).await.expect("written");
    }
    let shards: Vec<u16> = (0..store.layout().shards).collect();
    let positions = store.positions(shards.clone()).await;

    let demand = Demand::start(std::slice::from_ref(&process));
    until("the shifter is at work", || process.control().borrow().is_planning).await;
    freeze(&origin, true).await;
    demand.turn_hot();
    // Every node has seen what it serves, and nothing is done about what it serves most.
    rounds(&origin, 3).await;
    let before = epoch(&process);
    let counts = demand.is_known().await;
    assert!(counts.worst(NODES) > 2.5, "{:?}", counts.by_node);
    assert_eq!(epoch(&process), before);
    let told = plan(&origin).await;
    assert_eq!((&told["frozen"], &told["mode"]), (&json!(true), &json!("auto")));
    assert!(told["next"]["before"]["worst"].as_f64() > Some(2.5), "{told}");
    assert!(told["next"]["moves"].as_array().is_some_and(|moves| !moves.is_empty()), "{told}");
    store.take_writes();

    let (steady, stats) = (counts, demand.stats());
    freeze(&origin, false).await;
    store.take_writes();
    let mut asked = (0, 0);
    until("a plan is in force", || epoch(&process) > before).await;
    // While load moves, and a while after.
    for _ in 0..4 {
        let counts = demand.next(4_000).await;
        asked = (asked.0 + counts.requests, asked.1 + counts.first);
    }
    let after = demand.stats();
    let worst = demand.evens_out(NODES, 1.35).await;
    eprintln!(
        "heaviest node {:.2} -> {worst:.2} of the mean, epoch {before} -> {}",
        steady.worst(NODES),
        epoch(&process)
    );

    // Each of these would have missed memory, had nobody warmed up.
    let cold = asked.1 as f64 / asked.0 as f64;
    let missed = 1.0 - (after.memory_hits - stats.memory_hits) as f64 / (after.keys - stats.keys) as f64;
    eprintln!(
        "of {} requests {:.2} % were new to their node, {:.2} % missed memory",
        asked.0,
        100.0 * cold,
        100.0 * missed
    );
    assert!(cold > 0.04, "{cold}");
    assert!(missed <= 0.02, "{missed}");
    assert!(after.warmed > stats.warmed);

    let writes = store.take_writes();
    assert!(!writes.is_empty() && writes.iter().all(|write| *write == "put_map"), "{writes:?}");
    assert_eq!(store.positions(shards).await, positions);
    let map = process.map().borrow().clone();
    assert_eq!(store.map().await.expect("a map").as_deref(), Some(&*map));
    assert_eq!(demand.end().await, Vec::<String>::new());
    for n in 0..40 {
        let answer = store.read(vec![hot_key(n)]).await.remove(0).expect("read");
        assert_eq!(answer.value.expect("there").fields.locator, format!("at-{n}"));
    }
    running.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_report_to_whoever_coordinates_and_a_successor_goes_on() {
    let store = Shared::new();
    let one = Gate::shifting(&store, 1).await;
    until("the first leads", || one.term() > 0).await;
    let (two, three) = (Gate::shifting(&store, 2).await, Gate::shifting(&store, 3).await);
    agree(&[&one, &two, &three], &[1, 2, 3]).await;
    let demand = Demand::start(&[one.process.clone(), two.process.clone(), three.process.clone()]);
    demand.turn_hot();
    let worst = demand.evens_out(3, 1.35).await;
    // Whoever is asked, the coordinator answers; it has reports of all.
    let told = plan(&three.origin()).await;
    eprintln!("evened out to {worst:.2}: {}", told["stats"]);
    assert_eq!(told["loads"].as_object().map(serde_json::Map::len), Some(3));
    assert!(told["stats"]["plans"].as_u64() > Some(0), "{told}");
    assert!(!three.process.control().borrow().is_planning && one.process.control().borrow().is_planning);
    let text = Client::new().send(Method::GET, &two.url("/v1/plan"), &[("accept", "text/plain")], "").await;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    assert!(text.starts_with("shifter auto, map ") && text.contains("node 3: "), "{text}");

    // Frozen through another gateway, for all coordinators to come.
    freeze(&two.origin(), true).await;
    demand.ask_only(&[two.process.clone(), three.process.clone()]);
    one.kill().await;
    agree(&[&two, &three], &[2, 3]).await;
    let heir = || [&two, &three].into_iter().find(|gate| gate.process.control().borrow().is_planning);
    until("another plans", || heir().is_some()).await;
    let heir = heir().expect("just found");
    rounds(&heir.origin(), 2).await;
    let told = plan(&two.origin()).await;
    assert_eq!((&told["frozen"], &told["loads"].as_object().map(serde_json::Map::len)), (&json!(true), &Some(2)));
    freeze(&three.origin(), false).await;
    demand.evens_out(2, 1.35).await;
    assert_eq!(demand.end().await, Vec::<String>::new());
    assert!(store.blob(Blob::Leader).await.expect("read").is_some());
}

/// A gateway that holds the lease two seconds before the map can name it, as a member that gains does not warm up.
async fn unnamed(store: &Arc<Shared>) -> Gate {
    let node = |id, weight| MapNode { id, origin: format!("http://127.0.0.1:{id}"), weight };
    let map = Arc::new(PartitionMap::new(5, 1_024, store.layout(), vec![node(8, 2), node(9, 1)]));
    assert_eq!(store.put_map(None, map, 0).await, Ok(true));
    for id in [8, 9] {
        let MapNode { origin, weight, .. } = node(id, 1);
        let member = Member { id, incarnation: 7, origin, weight, state: MemberState::Serving, warm_for: 0 };
        assert_eq!(store.announce(member, Duration::from_secs(60)).await, Ok(true));
    }
    let gate = Gate::shifting(store, 1).await;
    until("it leads", || gate.term() > 0).await;
    gate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_no_map_names_yet_says_where_it_answers() {
    let store = Shared::new();
    let gate = unnamed(&store).await;
    assert_eq!(gate.nodes(), [8, 9], "not named");
    let record = store.blob(Blob::Leader).await.expect("read").expect("stored");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(record, json!({ "origin": gate.origin(), "frozen": false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_while_another_begins_is_not_lost() {
    let store = Shared::new();
    store.delay_leader();
    let gate = Gate::shifting(&store, 1).await;
    until("it reads the switch", || store.is_leader_asked()).await;
    freeze(&gate.origin(), true).await;
    let record = store.blob(Blob::Leader).await.expect("read").expect("stored");
    let record: Value = serde_json::from_slice(&record).expect("JSON");
    assert_eq!(record["frozen"], json!(true));
    assert_eq!(plan(&gate.origin()).await["frozen"], json!(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_takes_out_what_is_proposed() {
    let store = Shared::alone();
    let running = start(&store).await;
    let origin = format!("http://{}", running.addresses[0]);
    until("the shifter is at work", || running.process().control().borrow().is_planning).await;
    // Nothing but the freeze removes a proposal here, where there is no registry. A coordinator that ends right after it
    // leaves nothing that the next one would finish.
    for (frozen, left) in [(false, true), (true, false)] {
        assert_eq!(store.put_blob(Blob::Proposal, Some(vec![1]), 0).await, Ok(true));
        freeze(&origin, frozen).await;
        assert_eq!(store.blob(Blob::Proposal).await.expect("read").is_some(), left, "frozen: {frozen}");
    }
    running.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_and_waits_to_be_applied() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let http = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::shifting(3, http, ShifterMode::DryRun).await;
    let process = gateway.running.process().clone();
    let bearer = |verb| format!("Bearer {}", key.sign(&[verb], &[KeyPrefix::default()], 600).expect("signed"));
    let (admin, reader) = (bearer(Verb::Admin), bearer(Verb::Get));
    let send = async |method: Method, path: &str, token: &str, body: &str| {
        let headers = [JSON, ("authorization", token)];
        gateway.client.send(method, &gateway.url(2, path), &headers, body.to_owned()).await
    };
    let routes = [
        (Method::GET, "/v1/plan"),
        (Method::POST, "/v1/plan/apply"),
        (Method::POST, "/v1/shifter/freeze"),
        (Method::POST, "/v1/load?round=1"),
    ];
    for (method, path) in routes {
        let reply = send(method, path, &reader, "{\"frozen\":true}").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{path}");
    }
    for (path, body) in [
        ("/v1/shifter/freeze", "[true]"),
        ("/v1/shifter/freeze", "{\"frozen\":1}"),
        ("/v1/shifter/freeze", ""),
        ("/v1/plan/apply", "{\"epoch\":1}"),
        ("/v1/load", ""),
        ("/v1/load?round=9007199254740992", ""),
        ("/v1/load?round=x", ""),
    ] {
        let reply = send(Method::POST, path, &admin, body).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::BAD_REQUEST, "BAD_REQUEST"), "{path} {body}");
    }

    let demand = Demand::start(std::slice::from_ref(&process));
    demand.turn_hot();
    let moves = async || {
        let told = send(Method::GET, "/v1/plan", &admin, "").await.json();
        let count = told["next"]["moves"].as_array().map_or(0, Vec::len);
        (count, told)
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while moves().await.0 == 0 {
        assert!(tokio::time::Instant::now() < deadline, "there is nothing to do");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    demand.next(10_000).await;
    assert_eq!(epoch(&process), 1, "told, not done");
    let (_, told) = moves().await;
    assert_eq!((&told["mode"], &told["stats"]["plans"]), (&json!("dry-run"), &json!(0)));

    let other = json!({"base": {"incarnation": 1, "number": 7}}).to_string();
    let reply = send(Method::POST, "/v1/plan/apply", &admin, &other).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::PRECONDITION_FAILED, "VERSION_CONFLICT"));
    let own = json!({"base": told["epoch"]}).to_string();
    let reply = send(Method::POST, "/v1/plan/apply", &admin, &own).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert!(reply.json()["moves"].as_array().is_some_and(|moves| !moves.is_empty()));
    until("it is in force", || epoch(&process) == 2).await;
    assert_eq!(demand.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_shifter_there_is_no_plan() {
    let gateway = Gateway::start(1).await;
    let reply = gateway.client.send(Method::GET, &gateway.url(1, "/v1/plan"), &[], "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, "NO_ROUTE"));
}
