use super::*;

const A: Subject = Subject(1);
const B: Subject = Subject(2);

/// Takes all places that `subject` gets without displacing anybody.
fn fill(connections: &Arc<Connections>, subject: Subject, count: usize) -> Vec<Ticket> {
    (0..count).map(|_| connections.enter(subject).expect("a place")).collect()
}

fn full(connections: &Arc<Connections>, subject: Subject, count: usize) -> Vec<Ticket> {
    let tickets = fill(connections, subject, count);
    assert!(tickets.iter().all(Ticket::settle));
    tickets
}

#[test]
fn a_peer_gets_its_share_and_then_only_reserved_places() {
    let connections = Connections::new(100);
    let held = full(&connections, A, 25);
    let next = connections.enter(A).expect("a reserved place");
    assert!(next.is_reserved());
    assert!(!connections.enter(B).expect("a place").is_reserved(), "another peer has places");
    drop(held);
    assert!(!connections.enter(A).expect("a place").is_reserved());
}

#[tokio::test]
async fn a_silent_connection_makes_room_for_the_next_of_its_peer() {
    let connections = Connections::new(100);
    let held = fill(&connections, A, 25);
    let next = connections.enter(A).expect("a place");
    assert!(!next.is_reserved());
    held[0].displaced().await;
    assert!(!held[0].settle() && held[1].settle());
    drop(held);
    let stats = connections.stats();
    assert_eq!((stats.open, stats.displaced, stats.refused), (1, 1, 0), "each place is given back once");
}

#[test]
fn where_all_places_are_taken_whoever_holds_less_displaces_the_silent() {
    let connections = Connections::new(40);
    let peers = (0..40).map(|at| Subject(if at < 4 { 1_000 } else { 1_000 + at }));
    let held: Vec<Ticket> = peers.map(|peer| connections.enter(peer).expect("a place")).collect();
    assert_eq!((connections.stats().open, connections.stats().displaced), (40, 0));
    let newcomer = connections.enter(B).expect("a place");
    assert!(!newcomer.is_reserved() && newcomer.settle());
    assert!(!held[0].settle() && held[1].settle(), "the oldest went");
    assert_eq!(connections.stats().open, 40);
}

#[test]
fn beyond_the_reserved_places_nobody_enters_and_all_are_given_back() {
    let connections = Connections::new(4);
    let held: Vec<Ticket> = (0..4).flat_map(|peer| full(&connections, Subject(peer + 10), 1)).collect();
    let reserved = fill(&connections, B, RESERVED);
    assert!(reserved.iter().all(Ticket::is_reserved) && connections.enter(B).is_none());
    let stats = connections.stats();
    assert_eq!((stats.open, stats.open_max, stats.refused), (4 + RESERVED as u64, 4 + RESERVED as u64, 1));
    drop((held, reserved));
    assert_eq!((connections.stats().open, connections.stats().reserved), (0, 0));
}
