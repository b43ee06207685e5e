use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::store::redis::options::RedisOptions;

const NOW: u64 = 1_790_000_000_000_000;
const MINUTE: i64 = 60_000_000;

/// A server that answers TIME, so many microseconds ahead of `NOW`, or nothing where that is `i64::MIN`.
struct Server {
    address: Address,
    ahead_us: AtomicI64,
}

impl Server {
    async fn start(ahead_us: i64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Address { host: "127.0.0.1".into(), port: listener.local_addr().expect("bound").port() };
        let server = Arc::new(Self { address, ahead_us: AtomicI64::new(ahead_us) });
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let us = match serving.ahead_us.load(Ordering::SeqCst) {
                    i64::MIN => continue,
                    ahead => NOW.saturating_add_signed(ahead),
                };
                let (seconds, micros) = ((us / 1_000_000).to_string(), (us % 1_000_000).to_string());
                let answer = format!("*2\r\n${}\r\n{seconds}\r\n${}\r\n{micros}\r\n", seconds.len(), micros.len());
                let mut buffer = [0; 256];
                drop(socket.read(&mut buffer).await);
                drop(socket.write_all(answer.as_bytes()).await);
            }
        });
        server
    }
}

async fn servers(ahead: &[i64]) -> Vec<Arc<Server>> {
    futures_util::future::join_all(ahead.iter().map(|&ahead_us| Server::start(ahead_us))).await
}

fn addresses(servers: &[Arc<Server>]) -> Vec<Address> {
    servers.iter().map(|server| server.address.clone()).collect()
}

/// Clocks as a machine sees them whose own clock can be set.
fn clocks(own: &Arc<AtomicU64>) -> Clocks {
    let options = RedisOptions::from_url("redis://127.0.0.1:1").expect("a URL");
    let own = own.clone();
    Clocks::new(Connector::new(&options), Arc::new(move || own.load(Ordering::SeqCst)))
}

fn whose(clocks: &Clocks) -> Vec<String> {
    clocks.troubles().into_iter().map(|trouble| trouble.what).collect()
}

#[tokio::test]
async fn a_server_far_ahead_is_named_and_bounds_nobody_else() {
    let servers = servers(&[0, 5 * MINUTE, 1_000]).await;
    let clocks = clocks(&Arc::new(AtomicU64::new(NOW)));
    clocks.compare(addresses(&servers)).await;
    assert_eq!(whose(&clocks), [servers[1].address.to_string()]);
    assert!(
        !clocks.troubles()[0].is_whole && clocks.troubles()[0].why.contains("300 s ahead"),
        "{:?}",
        clocks.troubles()
    );
    assert_eq!(clocks.check_own(), Ok(()));
    // The latest time that it can be goes by the others.
    assert!(clocks.latest_us() < NOW + 5 * MINUTE as u64, "{}", clocks.latest_us());
    let shown: Vec<String> = clocks.all().into_iter().map(|clock| clock.whose).collect();
    assert_eq!(shown.len(), 4);
    assert_eq!(shown[0], ClockStatus::OWN);
    servers[1].ahead_us.store(0, Ordering::SeqCst);
    clocks.compare(addresses(&servers)).await;
    assert_eq!(clocks.troubles(), []);
}

#[tokio::test]
async fn a_machine_far_ahead_does_not_write_and_one_behind_does() {
    let servers = servers(&[0, 1_000]).await;
    let own = Arc::new(AtomicU64::new(NOW + 10 * MINUTE as u64));
    let clocks = clocks(&own);
    clocks.compare(addresses(&servers)).await;
    assert_eq!(whose(&clocks), [ClockStatus::OWN]);
    assert!(clocks.troubles()[0].is_whole);
    assert!(matches!(clocks.check_own(), Err(StoreError::Unavailable(why)) if why.contains("600 s ahead")));
    own.store(NOW - 10 * MINUTE as u64, Ordering::SeqCst);
    clocks.compare(addresses(&servers)).await;
    assert_eq!((clocks.troubles(), clocks.check_own()), (vec![], Ok(())));
    // It goes by the time of the others, not by its own.
    assert!(clocks.latest_us() >= NOW + MINUTE as u64 && clocks.now_us() >= NOW);
}

#[tokio::test]
async fn of_two_clocks_the_later_one_is_taken_for_wrong_and_silence_is_no_vote() {
    let servers = servers(&[2 * MINUTE, i64::MIN]).await;
    let clocks = clocks(&Arc::new(AtomicU64::new(NOW)));
    clocks.compare(addresses(&servers)).await;
    assert_eq!(whose(&clocks), [servers[0].address.to_string()]);
}

#[tokio::test]
async fn gateways_need_no_clock_of_each_other_as_none_of_theirs_makes_a_version() {
    const YEAR: u64 = 365 * 24 * 60 * MINUTE as u64;
    let servers = servers(&[0, 1_000, -1_000]).await;
    // More machines than servers, most of them wrong, and by the same time.
    let own = [NOW + YEAR, NOW + YEAR, NOW + YEAR, NOW + YEAR, NOW, NOW - YEAR];
    let machines = own.map(|shown| clocks(&Arc::new(AtomicU64::new(shown))));
    for machine in &machines {
        machine.compare(addresses(&servers)).await;
    }
    // Each finds out by itself whether it is ahead.
    let writes = machines.each_ref().map(|machine| machine.check_own().is_ok());
    assert_eq!(writes, [false, false, false, false, true, true]);
    assert!(machines.iter().all(|machine| machine.all().len() == 1 + servers.len()));
    // What a master is told, beside its own clock, is the same from all of them, give or take what the test took.
    let latest = machines.each_ref().map(Clocks::latest_us);
    assert!(latest.iter().all(|latest| (NOW..NOW + 3 * MINUTE as u64).contains(latest)), "{latest:?}");
    // A server that is ahead is refused by all of them, those included that are as far ahead themselves. With a vote for each
    // of the machines, five clocks of nine would have agreed on that time.
    servers[0].ahead_us.store(YEAR as i64, Ordering::SeqCst);
    for machine in &machines {
        machine.compare(addresses(&servers)).await;
    }
    let names_it = |machine: &Clocks| whose(machine).contains(&servers[0].address.to_string());
    assert!(machines.iter().all(names_it));
}
