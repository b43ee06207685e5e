use super::*;
use crate::key::KeyPrefix;
use crate::partition::{Portion, StorageLayout};

const CONFIG: CoordinatorConfig = CoordinatorConfig { grace_ms: 6_000, warm_ms: 2_000 };

fn node(id: NodeId) -> MapNode {
    MapNode { id, origin: format!("http://n{id}"), weight: 1 }
}

fn map_of(ids: &[NodeId]) -> PartitionMap {
    PartitionMap::new(7, 256, StorageLayout::default(), ids.iter().copied().map(node).collect())
}

fn member(id: NodeId) -> Member {
    Member {
        id,
        incarnation: id.into(),
        origin: format!("http://n{id}"),
        weight: 1,
        state: MemberState::Serving,
        warm_for: 0,
    }
}

fn ids(map: &PartitionMap) -> Vec<NodeId> {
    map.nodes.iter().map(|node| node.id).collect()
}

/// A store as one coordinator sees it, which nobody else writes to.
struct Table {
    coordinator: Coordinator,
    term: Option<u64>,
    members: Vec<Member>,
    map: PartitionMap,
    proposal: Option<Arc<PartitionMap>>,
    plan: Vec<Move>,
}

impl Table {
    fn new(map: &[NodeId], members: &[NodeId]) -> Self {
        Self {
            coordinator: Coordinator::new(CONFIG),
            term: Some(1),
            members: members.iter().copied().map(member).collect(),
            map: map_of(map),
            proposal: None,
            plan: Vec::new(),
        }
    }

    fn step(&mut self, now: Millis) -> CoordinatorStep {
        let (members, map, proposal) = (&self.members[..], &self.map, self.proposal.as_ref());
        let seen = Seen { members, map, proposal, plan: &self.plan };
        self.coordinator.round(now, self.term, &seen)
    }

    fn proposed(&mut self, now: Millis) -> Arc<PartitionMap> {
        let CoordinatorStep::Propose(map) = self.step(now) else { panic!("a proposal") };
        self.proposal = Some(map.clone());
        map
    }

    fn is_flip(&mut self, now: Millis) -> bool {
        let wanted = self.proposal.clone();
        match self.step(now) {
            CoordinatorStep::Flip { expect, map } => {
                assert_eq!((expect, Some(map)), (self.map.epoch, wanted));
                true
            }
            step => {
                assert_eq!(step, CoordinatorStep::Rest);
                false
            }
        }
    }
}

#[test]
fn without_the_lease_and_in_agreement_it_rests() {
    let mut table = Table::new(&[1, 2], &[1, 2, 3]);
    table.term = None;
    assert_eq!(table.step(0), CoordinatorStep::Rest);
    assert_eq!(Table::new(&[1, 2], &[1, 2]).step(0), CoordinatorStep::Rest);
}

#[test]
fn a_node_that_joins_warms_up_before_it_owns_anything() {
    let mut table = Table::new(&[1, 2], &[1, 2, 3]);
    let proposal = table.proposed(0);
    assert_eq!((ids(&proposal), proposal.epoch.number), (vec![1, 2, 3], 2));
    assert!(!table.is_flip(10) && !table.is_flip(1_000));
    // The others gain nothing, so nobody waits for them.
    table.members[2].warm_for = proposal.hash();
    assert!(table.is_flip(1_001));
}

#[test]
fn it_waits_for_a_slow_one_only_so_long_and_for_a_dead_one_not_at_all() {
    let mut table = Table::new(&[1, 2], &[1, 2, 3]);
    let proposal = table.proposed(0);
    assert!(!table.is_flip(50) && !table.is_flip(2_049) && table.is_flip(2_050));
    // It dies meanwhile: once its grace is over nobody wants it. It never was in the map, so that is at once.
    table.members.pop();
    assert_eq!(table.step(2_051), CoordinatorStep::Clear);
    assert_eq!(ids(&proposal), [1, 2, 3]);
}

#[test]
fn a_dead_node_keeps_its_place_for_its_grace() {
    let mut table = Table::new(&[1, 2, 3], &[1, 2]);
    assert_eq!((table.step(0), table.step(5_999)), (CoordinatorStep::Rest, CoordinatorStep::Rest));
    // A restart within the grace moves nothing, and the next death has a grace of its own.
    table.members.push(member(3));
    assert_eq!(table.step(6_000), CoordinatorStep::Rest);
    table.members.pop();
    assert_eq!((table.step(6_001), table.step(12_000)), (CoordinatorStep::Rest, CoordinatorStep::Rest));
    assert_eq!(ids(&table.proposed(12_001)), [1, 2]);
}

#[test]
fn a_node_that_leaves_goes_at_once_and_the_others_warm_up() {
    let mut table = Table::new(&[1, 2, 3], &[1, 2, 3]);
    table.members[1].state = MemberState::Leaving;
    let proposal = table.proposed(0);
    assert_eq!(ids(&proposal), [1, 3]);
    table.members[0].warm_for = proposal.hash();
    assert!(!table.is_flip(1));
    table.members[2].warm_for = proposal.hash();
    assert!(table.is_flip(2));
}

#[test]
fn the_last_one_keeps_the_map_even_when_it_leaves() {
    let mut table = Table::new(&[1], &[1]);
    table.members[0].state = MemberState::Leaving;
    assert_eq!(table.step(0), CoordinatorStep::Rest);
    table.members.clear();
    assert_eq!((table.step(1), table.step(60_000)), (CoordinatorStep::Rest, CoordinatorStep::Rest));
}

#[test]
fn another_address_is_no_reason_to_warm_up() {
    let mut table = Table::new(&[1, 2], &[1, 2]);
    table.members[1].origin = "http://elsewhere".to_owned();
    table.proposed(0);
    assert!(table.is_flip(0));
}

#[test]
fn a_proposal_that_is_found_is_finished_or_replaced_or_cleared() {
    // Of a predecessor, which planned more than this one knows of.
    let plan = Move::Place { prefix: KeyPrefix::parse("a").expect("valid"), portion: Portion { depth: 3, spread: 0 } };
    let mut table = Table::new(&[1, 2], &[1, 2]);
    table.proposal = Some(Arc::new(shift(&table.map, std::slice::from_ref(&plan)).expect("valid")));
    assert!(!table.is_flip(0) && table.is_flip(2_000), "finished");
    table.members.push(member(3));
    assert_eq!(ids(&table.proposed(2_001)), [1, 2, 3], "replaced");
    table.map.epoch.number += 1;
    table.map.nodes.push(node(3));
    assert_eq!(table.step(2_002), CoordinatorStep::Clear, "already in force");
    let mut foreign = PartitionMap::new(8, 256, StorageLayout::default(), vec![node(1), node(2), node(3)]);
    foreign.epoch.number = table.map.epoch.number + 1;
    table.proposal = Some(Arc::new(foreign));
    assert_eq!(table.step(2_003), CoordinatorStep::Clear, "of another namespace");
}

#[test]
fn a_plan_goes_the_same_way_and_is_done_once() {
    let plan = Move::Assign { partition: 9, node: Some(1) };
    let mut table = Table::new(&[1, 2], &[1, 2]);
    table.plan = vec![plan];
    let proposal = table.proposed(0);
    assert_eq!(proposal.exceptions, [(9, 1)].into());
    assert!(!table.is_flip(1));
    table.members.iter_mut().for_each(|member| member.warm_for = proposal.hash());
    assert!(table.is_flip(2));
    table.map = (*proposal).clone();
    table.proposal = None;
    assert_eq!(table.step(3), CoordinatorStep::Rest, "it is in force already");
    // One that names a node that is not there does not hold up those who are.
    table.plan = vec![Move::Assign { partition: 9, node: Some(8) }];
    assert_eq!(table.step(4), CoordinatorStep::Rest);
    table.members.push(member(3));
    assert_eq!(ids(&table.proposed(5)), [1, 2, 3]);
}

#[test]
fn a_proposal_is_given_up_with_the_plan_it_was_made_with() {
    let plan = vec![Move::Assign { partition: 9, node: Some(1) }];
    let mut table = Table::new(&[1, 2], &[1, 2]);
    table.plan.clone_from(&plan);
    table.proposed(0);
    assert!(!table.is_flip(1));
    table.plan.clear();
    assert_eq!(table.step(2), CoordinatorStep::Clear);
    // One that nodes changed by goes on without it.
    table.plan.clone_from(&plan);
    table.members.push(member(3));
    assert_eq!(table.proposed(3).exceptions, [(9, 1)].into());
    table.plan.clear();
    let proposal = table.proposed(4);
    assert_eq!((ids(&proposal), proposal.exceptions.len()), (vec![1, 2, 3], 0));
    // A plan that comes later waits for it.
    table.plan = plan;
    assert!(!table.is_flip(5));
    table.members.iter_mut().for_each(|member| member.warm_for = proposal.hash());
    assert!(table.is_flip(6));
}

#[test]
fn what_it_knew_in_an_earlier_term_is_forgotten() {
    let mut table = Table::new(&[1, 2], &[1]);
    assert_eq!(table.step(0), CoordinatorStep::Rest);
    table.term = Some(3);
    assert_eq!(table.step(6_000), CoordinatorStep::Rest, "it has not watched all the time");
    table.proposed(12_000);
}

/// A store that several coordinators write to, each a while after it has read.
struct Shared {
    term: u64,
    holder: usize,
    map: PartitionMap,
    proposal: Option<Arc<PartitionMap>>,
    flips: u64,
    refused: u64,
}

impl Shared {
    fn perform(&mut self, term: u64, step: CoordinatorStep) {
        if term < self.term {
            self.refused += u64::from(step != CoordinatorStep::Rest);
            return;
        }
        match step {
            CoordinatorStep::Rest => {}
            CoordinatorStep::Propose(map) => self.proposal = Some(map),
            CoordinatorStep::Clear => self.proposal = None,
            CoordinatorStep::Flip { expect, map } if expect == self.map.epoch => {
                assert_eq!(map.epoch.number, expect.number + 1);
                map.validate().expect("only valid maps come in force");
                self.map = (*map).clone();
                self.flips += 1;
            }
            CoordinatorStep::Flip { .. } => self.refused += 1,
        }
    }
}

struct Chance(u64);

impl Chance {
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Any gateway reads, decides and writes with anything happening in between: leases change hands, members come, go,
/// and warm up or not. Whatever happened, the map ends up with exactly those who serve.
#[test]
fn in_any_order_of_steps_the_map_ends_up_with_those_who_serve() {
    let (mut flips, mut refused) = (0, 0);
    for seed in 0..400 {
        let mut chance = Chance(seed);
        let all: Vec<NodeId> = (1..=4).collect();
        let mut members: Vec<Member> = all.iter().copied().map(member).collect();
        let mut shared = Shared { term: 1, holder: 0, map: map_of(&[1]), proposal: None, flips: 0, refused: 0 };
        let mut coordinators: Vec<Coordinator> = all.iter().map(|_| Coordinator::new(CONFIG)).collect();
        let mut terms: Vec<Option<u64>> = vec![None; all.len()];
        let mut held: Vec<Option<(u64, CoordinatorStep)>> = vec![None; all.len()];
        let mut now = 0;
        for turn in 0..1_000 {
            let calm = turn >= 800;
            now += if calm { 500 } else { chance.below(1_500) };
            let holds = calm || chance.below(2) == 0;
            let who = if holds { shared.holder } else { chance.below(4) as usize };
            match chance.below(if calm { 4 } else { 8 }) {
                // Reads and decides; what it wants to write may take long.
                0 | 1 if held[who].is_none() => {
                    let proposal = shared.proposal.clone();
                    let seen =
                        Seen { members: &members, map: &shared.map.clone(), proposal: proposal.as_ref(), plan: &[] };
                    let step = coordinators[who].round(now, terms[who], &seen);
                    held[who] = terms[who].map(|term| (term, step));
                }
                // Its write arrives; or it dies before it sends it.
                2 => {
                    if let Some((term, step)) = held[who].take()
                        && (calm || chance.below(4) > 0)
                    {
                        shared.perform(term, step);
                    }
                }
                3 => {
                    let wanted = shared.proposal.as_ref().map_or(0, |proposal| proposal.hash());
                    if let Some(member) = members.get_mut(chance.below(4) as usize) {
                        member.warm_for = wanted;
                    }
                }
                4 if calm || chance.below(6) == 0 => {
                    shared.term += 1;
                    shared.holder = who;
                    terms[who] = Some(shared.term);
                }
                5 if chance.below(3) == 0 => members.retain(|member| member.id != all[who]),
                6 if !members.iter().any(|member| member.id == all[who]) => {
                    members.push(member(all[who]));
                    members.sort();
                }
                7 if chance.below(3) == 0 => {
                    if let Some(member) = members.iter_mut().find(|member| member.id == all[who]) {
                        member.state = MemberState::Leaving;
                    }
                }
                _ => {}
            }
            if calm && terms[shared.holder] != Some(shared.term) {
                terms[shared.holder] = Some(shared.term);
            }
        }
        let serving: Vec<NodeId> =
            members.iter().filter(|member| member.state == MemberState::Serving).map(|member| member.id).collect();
        if !serving.is_empty() {
            assert_eq!((ids(&shared.map), shared.proposal), (serving, None), "seed {seed}");
        }
        flips += shared.flips;
        refused += shared.refused;
    }
    assert!(flips > 800 && refused > 50, "{flips} flips, {refused} refused");
}
