use std::io::{Read as _, Write as _};

use super::*;

/// A server that answers the first thing it hears with `answer`.
fn server(answer: String) -> Address {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 1_024];
        // The client's side of the test tells whether this went well.
        if socket.read(&mut buffer).is_ok() {
            drop(socket.write_all(answer.as_bytes()));
        }
    });
    Address { host: "127.0.0.1".into(), port }
}

fn info(server: &str, cluster: &str) -> String {
    [server, cluster].iter().map(|text| format!("${}\r\n{text}\r\n", text.len())).collect()
}

async fn refusal(answer: String) -> String {
    let seed = server(answer);
    let options = RedisOptions::from_url(&format!("redis://{seed}")).expect("a URL");
    match look(&Connector::new(&options), &[seed]).await {
        Ok(view) => panic!("{view:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn servers_that_will_not_do_are_told_by_what_to_change() {
    let old = refusal(info("# Server\r\nredis_version:6.2.7\r\n", "# Cluster\r\ncluster_enabled:1\r\n")).await;
    assert!(old.contains("Redis 6.2.7; 7.0 is the oldest"), "{old}");
    let alone = refusal(info("# Server\r\nredis_version:7.0.15\r\n", "# Cluster\r\ncluster_enabled:0\r\n")).await;
    assert!(alone.contains("set cluster-enabled yes"), "{alone}");
    let locked = refusal("-NOAUTH Authentication required.\r\n".repeat(2)).await;
    assert!(locked.contains("NOAUTH"), "{locked}");
    let strange = refusal(info("no version", "no cluster")).await;
    assert!(strange.contains("of an unknown version"), "{strange}");
}
