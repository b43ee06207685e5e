use super::*;
use crate::key::CompositeKey;
use crate::partition::{MapNode, Placement};
use crate::shifter::testing::{imbalance, key, map, reports};

struct Fleet {
    shifter: Shifter,
    round: u64,
}

impl Fleet {
    fn new() -> Self {
        let settings = PlanSettings { entries: Some(200_000), ..PlanSettings::default() };
        Self { shifter: Shifter::new(map(8, 16_384), settings), round: 100 }
    }

    /// A round of requests, and what the shifter makes of it.
    fn round(&mut self, requests: &[(CompositeKey, u32)]) -> Option<ShifterAction> {
        self.round += 1;
        let now = self.round * ROUND_MS;
        for report in reports(&Arc::clone(self.shifter.map()), requests, self.round, self.round) {
            self.shifter.observe(&report, now);
        }
        self.shifter.plan(now)
    }

    fn apply(&mut self, action: Option<ShifterAction>) -> Option<Plan> {
        let ShifterAction::Publish { map, plan } = action?;
        self.shifter.published(&map);
        Some(plan)
    }
}

fn requests(hot: &str) -> Vec<(CompositeKey, u32)> {
    let background = (0..2_000).map(|n| (key(&format!("t{}/files/{}", n / 5, n % 5)), 4));
    background.chain((0..200).map(|n| (key(&format!("{hot}/files/{n}")), 80))).collect()
}

#[test]
fn a_hot_prefix_is_relieved_and_then_nothing_happens() {
    let mut fleet = Fleet::new();
    let hot = requests("hot");
    let action = fleet.round(&hot);
    assert!(fleet.apply(action).is_some());
    assert!(imbalance(fleet.shifter.map(), &hot) < 1.12);
    let later: Vec<_> = (0..6)
        .filter_map(|_| {
            let action = fleet.round(&hot);
            fleet.apply(action)
        })
        .collect();
    assert!(later.len() <= 2 && later.iter().all(|plan| plan.entries < 0.003), "{later:?}");
    let stats = fleet.shifter.stats();
    assert_eq!((stats.reports, stats.refused, stats.reverts), (7 * 8, 0, 0));
    assert!(stats.worst < 1.12 && stats.fill.incarnations == 8);
}

#[test]
fn a_frozen_shifter_explains_and_does_nothing() {
    let mut fleet = Fleet::new();
    fleet.shifter.freeze(true);
    assert_eq!(fleet.round(&requests("hot")), None);
    let plan = fleet.shifter.dry_run(fleet.round * ROUND_MS);
    assert!(!plan.is_empty() && plan.after.worst < plan.before.worst);
    fleet.shifter.freeze(false);
    assert!(fleet.round(&requests("hot")).is_some());
    assert_eq!(fleet.shifter.plan(fleet.round * ROUND_MS), None, "once a round");
}

#[test]
fn a_plan_that_was_not_published_is_made_again() {
    let mut fleet = Fleet::new();
    let hot = requests("hot");
    let first = fleet.round(&hot);
    assert!(first.is_some());
    // Somebody else was faster: the compare-and-set failed, and their map is in force.
    let mut other = PartitionMap::clone(fleet.shifter.map());
    other.epoch.number += 1;
    other.nodes.push(MapNode { id: 9, origin: "http://n9".into(), weight: 1 });
    fleet.shifter.set_map(Arc::new(other));
    let Some(ShifterAction::Publish { map, plan }) = fleet.round(&hot) else { panic!("no plan") };
    assert_eq!((plan.base, map.epoch.number), (fleet.shifter.map().epoch, plan.base.number + 1));
    assert_eq!(fleet.shifter.stats().plans, 0);
}

#[test]
fn a_plan_that_came_in_force_with_a_join_is_remembered() {
    let mut fleet = Fleet::new();
    let Some(ShifterAction::Publish { map, plan }) = fleet.round(&requests("hot")) else { panic!("nothing planned") };
    let mut joined = PartitionMap::clone(&map);
    joined.nodes.push(MapNode { id: 9, origin: "http://n9".into(), weight: 1 });
    fleet.shifter.set_map(Arc::new(joined));
    assert_eq!(fleet.shifter.stats().plans, 1);
    let assigned = plan.moves.iter().find_map(|change| match change {
        Move::Assign { partition, .. } => fleet.shifter.history().partition(*partition),
        Move::Place { prefix, .. } => fleet.shifter.history().rule(prefix),
        _ => None,
    });
    assert_eq!(assigned, Some(fleet.round));
}

#[test]
fn what_turns_out_worse_than_predicted_is_taken_back_once_and_held_off() {
    let mut fleet = Fleet::new();
    let hot = requests("hot");
    let action = fleet.round(&hot);
    let plan = fleet.apply(action).expect("a plan");
    let before = plan.base;
    // The requests change so that the plan's homes are the wrong ones: all load is now for keys that it brought to one node,
    // and would be on several without it.
    let after = Arc::clone(fleet.shifter.map());
    let (old, new) = (Placement::new(map(8, 16_384)), Placement::new(Arc::clone(&after)));
    let background: Vec<_> = (0..2_000).map(|n| key(&format!("t{}/files/{}", n / 5, n % 5))).collect();
    let moved = background.iter().find(|key| old.locate(key).node != new.locate(key).node);
    let target = moved.map(|key| new.locate(key).node).expect("the plan moved a partition");
    let mut wrong: Vec<_> = background.iter().map(|key| (key.clone(), 4)).collect();
    for (key, count) in &mut wrong {
        if old.locate(key).node != target && new.locate(key).node == target {
            *count = 3_000;
        }
    }
    // There is no way forward either.
    let stuck = PlanSettings {
        entries_at_most: 0.0,
        entries_usually: 0.0,
        entries_free: 0,
        max_hot: 0,
        split_from: f64::MAX,
        ..*fleet.shifter.settings()
    };
    fleet.shifter.set_settings(stuck);
    let action = fleet.round(&wrong);
    let plan = fleet.apply(action).expect("a plan");
    assert!(plan.reasons[0].why.contains("taken back"), "{plan}");
    assert_eq!(fleet.shifter.stats().reverts, 1);
    let map = Arc::clone(fleet.shifter.map());
    assert!(map.epoch > before && map.exceptions.is_empty() && map.rules.is_empty() && map.hot.is_empty());
    assert!(imbalance(&map, &wrong) < imbalance(&after, &wrong));
    let action = fleet.round(&wrong);
    assert!(fleet.apply(action).is_none(), "and that is not taken back in turn");
    assert!(
        fleet.shifter.history().is_held(&crate::key::KeyPrefix::parse("hot/files").expect("a prefix"), fleet.round)
    );
}

/// Number of changes of the keys with replicas, after three rounds of the same requests.
fn comes_and_goes(hot: impl Iterator<Item = (CompositeKey, u32)>) -> usize {
    let background = (0..2_000).map(|n| (key(&format!("t{}/files/{}", n / 5, n % 5)), 4));
    let requests: Vec<_> = background.chain(hot).collect();
    let mut fleet = Fleet::new();
    let mut changes = 0;
    for round in 0..9 {
        let before: Vec<_> = fleet.shifter.map().hot.iter().map(|hot| hot.key.clone()).collect();
        let action = fleet.round(&requests);
        fleet.apply(action);
        let after: Vec<_> = fleet.shifter.map().hot.iter().map(|hot| hot.key.clone()).collect();
        changes += usize::from(round >= 3 && before != after);
    }
    assert!(!fleet.shifter.map().hot.is_empty());
    changes
}

#[test]
fn replicas_stay_where_they_are_needed() {
    // Each replica serves less of a key than is looked at otherwise.
    assert_eq!(comes_and_goes((0..16).map(|n| (key(&format!("hot/files/folder/{n}")), 50))), 0);
    // Hot together, one component above their parents, and neither alone.
    assert_eq!(comes_and_goes(["a/x", "b/y"].into_iter().map(|rest| (key(&format!("hot/files/d/{rest}")), 90))), 0);
}

#[test]
fn a_clock_that_was_ahead_stops_nothing() {
    let mut fleet = Fleet::new();
    let hot = requests("hot");
    fleet.round += 1_800;
    let action = fleet.round(&hot);
    assert!(fleet.apply(action).is_some());
    fleet.round -= 1_800;
    let cold: Vec<_> = requests("other");
    let action = fleet.round(&cold);
    let plan = fleet.apply(action).expect("a plan of what is asked for now");
    assert!(plan.before.worst > 3.0 && imbalance(fleet.shifter.map(), &cold) < 1.2, "{plan}");
}
