use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use clap::Parser;

use super::*;
use foremap_replay::trace::Request;

/// Requests that a server saw: the stream and the target of each, in order of arrival.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A server that answers every request by `answer(target)`: status, source, body.
fn serve(answer: fn(&str) -> (u16, &'static str, String)) -> Result<(String, Seen)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let origin = format!("http://{}", listener.local_addr()?);
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || one_request(stream, &log, answer));
        }
    });
    Ok((origin, seen))
}

fn one_request(
    stream: TcpStream,
    log: &Mutex<Vec<(String, String)>>,
    answer: fn(&str) -> (u16, &'static str, String),
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let target = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let name = headers.iter().find_map(|line| line.strip_prefix("foremap-stream: ")).unwrap_or_default().to_owned();
    log.lock().push((name, target.clone()));
    let (status, source, body) = answer(&target);
    let head = format!(
        "HTTP/1.1 {status} X\r\nforemap-source: {source}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    (&stream).write_all((head + &body).as_bytes()).ok()
}

fn key_of(target: &str) -> String {
    target.rsplit('=').next().unwrap_or_default().replace("%25", "%")
}

fn options(clients: &str) -> Options {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }
    Cli::parse_from(["demo", "--clients", clients]).options
}

fn request(at_ms: i64, client: u32, key: u32) -> Request {
    Request { at_ms, client, key }
}

fn trace() -> Trace {
    Trace {
        requests: vec![
            request(100, 0, 0),
            request(110, 1, 1),
            request(150, 0, 2),
            request(900, 0, 0),
            request(0, 0, 1),
        ],
        keys: ["a", "b", "c%2Fd"].map(str::to_owned).to_vec(),
        clients: ["x", "y"].map(str::to_owned).to_vec(),
        ..Trace::default()
    }
}

fn run(clients: &str, answer: fn(&str) -> (u16, &'static str, String)) -> Result<(Replayed, Seen)> {
    let (origin, seen) = serve(answer)?;
    Ok((replay(&origin, &trace(), &options(clients), &ProgressBar::hidden())?, seen))
}

#[test]
fn clients_keep_their_order_and_capped_gaps() {
    let ms = Duration::from_millis;
    let expected = vec![(0, vec![(ms(0), 0), (ms(50), 2), (ms(250), 0), (ms(0), 1)]), (1, vec![(ms(0), 1)])];
    assert_eq!(steps_of_clients(&trace(), ms(250)), expected);
}

#[test]
fn only_a_client_beyond_its_share_goes_first() {
    let client = |client, requests: usize| (client, vec![(Duration::ZERO, 0); requests]);
    let mut clients = vec![client(0, 2), client(1, 3), client(2, 9), client(3, 5)];
    start_longest_first(&mut clients, 5);
    assert_eq!(clients.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [2, 0, 1, 3]);
}

#[test]
fn every_request_is_sent_in_the_clients_order_and_counted() -> Result<()> {
    let start = Instant::now();
    let (replayed, seen) = run("2", |target| {
        let source = if target.ends_with('b') { "cache" } else { "network" };
        (200, source, format!(r#"{{"key":"{}"}}"#, key_of(target)))
    })?;
    assert!(start.elapsed() >= Duration::from_millis(300), "the gaps are kept");
    assert_eq!((replayed.requests(), replayed.hits, replayed.revalidated), (5, 2, 0));
    let seen = seen.lock();
    let of = |name: &str| -> Vec<String> {
        seen.iter().filter(|(stream, _)| stream == name).map(|(_, target)| key_of(target)).collect()
    };
    assert_eq!((of("x"), of("y")), (vec!["a".into(), "c%2Fd".into(), "a".into(), "b".into()], vec!["b".to_owned()]));
    Ok(())
}

#[test]
fn wrong_answers_fail_loudly() {
    let message = |answer| run("1", answer).err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(message(|_| (503, "network", "busy".into())).contains("5 answers were wrong"));
    assert!(message(|_| (200, "cache", r#"{"key":"other"}"#.into())).contains("is about `other`"));
    assert!(message(|target| (200, "stale", format!(r#"{{"key":"{}"}}"#, key_of(target)))).contains("`stale`"));
    assert!(message(|_| (200, "cache", "no JSON".into())).contains("5 answers were wrong"));
}
