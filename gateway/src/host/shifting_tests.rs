use std::sync::mpsc;

use foremap::partition::{MapNode, StorageLayout};
use foremap::shifter::shift;

use super::*;

fn map() -> Arc<PartitionMap> {
    let node = |id| MapNode { id, origin: format!("http://n{id}"), weight: 1 };
    Arc::new(PartitionMap::new(7, 256, StorageLayout::default(), (1..=2).map(node).collect()))
}

#[test]
fn nobody_waits_for_planning_but_for_a_plan() {
    let shifting = Arc::new(Shifting::default());
    shifting.set_mode(ShifterMode::Auto);
    shifting.begin(3, &map(), false);
    let planning = shifting.planner();
    let (tell, told) = mpsc::channel();
    let other = shifting.clone();
    let asking = std::thread::spawn(move || {
        other.freeze(true);
        let told = (other.mode(), other.term(), other.moves(&map()), other.stats().shifter.frozen);
        tell.send(told).expect("somebody listens");
    });
    let told = told.recv_timeout(Duration::from_secs(10)).expect("told while a plan is made");
    assert_eq!(told, (ShifterMode::Auto, Some(3), vec![], true));
    drop(planning);
    asking.join().expect("no panic");
    assert!(shifting.status().is_some_and(|status| status.frozen && status.stats.frozen));
    shifting.end();
    assert!(shifting.status().is_none() && !shifting.stats().shifter.frozen);
}

#[test]
fn freezing_stops_what_is_on_its_way_unless_somebody_asked_for_it() {
    let (map, moves) = (map(), vec![Move::Assign { partition: 9, node: Some(1) }]);
    let next = Arc::new(shift(&map, &moves).expect("valid"));
    let action = || {
        let plan = Plan { base: map.epoch, moves: moves.clone(), ..Plan::default() };
        ShifterAction::Publish { map: next.clone(), plan }
    };
    let shifting = Shifting::default();
    shifting.begin(3, &map, false);
    assert_eq!(shifting.await_map(action(), false), Some(next.clone()));
    shifting.freeze(false);
    assert_eq!((shifting.moves(&map), shifting.awaits(next.hash())), (moves.clone(), true));
    shifting.freeze(true);
    assert_eq!((shifting.moves(&map), shifting.awaits(next.hash())), (vec![], false));
    // As of one that was being planned meanwhile.
    assert_eq!(shifting.await_map(action(), false), None);
    assert!(shifting.moves(&map).is_empty());
    assert_eq!(shifting.await_map(action(), true), Some(next.clone()));
    shifting.freeze(true);
    assert_eq!(shifting.moves(&map), moves);
}
