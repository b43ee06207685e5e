//! Properties of every load model and every plan.

use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::load::{Count, Forecast, LoadModel, LoadReport, PrefixLoad};
use foremap::partition::{MapNode, PartitionMap, StorageLayout};
use foremap::shifter::{Move, Plan, PlanInput, PlanSettings, ShiftHistory, plan, shift};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::config;

const PARTITIONS: u32 = 256;
const ROUND: u64 = 1_000;

fn count() -> impl Strategy<Value = Count> {
    // From nothing to a flood.
    (0_u32..16, 0_u32..1_000).prop_map(|(magnitude, n)| {
        let all = n << (magnitude / 2);
        Count { all, late: all / 4 }
    })
}

fn prefix() -> impl Strategy<Value = KeyPrefix> {
    let text = prop_oneof![
        (0..12_u32).prop_map(|n| format!("t{n}/files")),
        (0..12_u32, 0..4_u32).prop_map(|(n, m)| format!("t{n}/files/d{m}")),
    ];
    text.prop_map(|text| KeyPrefix::parse(&text).unwrap())
}

fn key() -> impl Strategy<Value = CompositeKey> {
    (0..12_u32, 0..4_u32, 0..3_u32).prop_map(|(n, m, o)| CompositeKey::parse(&format!("t{n}/files/d{m}/{o}")).unwrap())
}

fn report() -> impl Strategy<Value = LoadReport> {
    let load = (count(), 0_u32..2_000, btree_map(0_u16..1_024, count(), 0..6));
    let tables = (
        btree_map(0..PARTITIONS, count(), 0..40),
        btree_map(prefix(), load, 0..6),
        btree_map(key(), count(), 0..6),
        btree_map((prefix(), prefix()), 0_u32..500, 0..4),
    );
    (1_u32..5, 1_u64..6, 0_u64..4, count(), tables).prop_map(|(node, number, back, requests, tables)| {
        let (partitions, prefixes, keys, pairs) = tables;
        let load =
            |(prefix, (count, keys, cells)): (KeyPrefix, (Count, u32, std::collections::BTreeMap<u16, Count>))| {
                PrefixLoad { prefix, count, keys, cells: cells.into_iter().collect() }
            };
        LoadReport {
            node,
            incarnation: 1,
            number,
            round: ROUND - back,
            requests,
            distinct: requests.all,
            partitions: partitions.into_iter().collect(),
            prefixes: prefixes.into_iter().map(load).collect(),
            keys: keys.into_iter().collect(),
            together: pairs.into_iter().filter(|((a, b), _)| a < b).map(|((a, b), n)| (a, b, n)).collect(),
        }
    })
}

/// Reports of which no two have one node and number.
fn reports() -> impl Strategy<Value = Vec<LoadReport>> {
    vec(report(), 1..12).prop_map(|reports| {
        let mut seen = std::collections::BTreeSet::new();
        reports.into_iter().filter(|report| seen.insert((report.node, report.number))).collect()
    })
}

fn settings() -> impl Strategy<Value = PlanSettings> {
    (0.0_f64..0.05, 0.0_f64..0.01, 0_u64..2_000, 1_u64..1_000_000).prop_map(|(most, usually, free, entries)| {
        PlanSettings {
            entries_at_most: most,
            entries_usually: usually,
            entries_free: free,
            entries: Some(entries),
            ..PlanSettings::default()
        }
    })
}

fn map(weights: &[u32]) -> Arc<PartitionMap> {
    let node = |(at, &weight): (usize, &u32)| MapNode { id: at as u32 + 1, origin: format!("http://n{at}"), weight };
    let nodes = weights.iter().enumerate().map(node).collect();
    Arc::new(PartitionMap::new(7, PARTITIONS, StorageLayout::default(), nodes))
}

/// Nobody is silent.
fn present(load: &mut LoadModel, map: &PartitionMap) {
    for node in &map.nodes {
        load.merge(
            &LoadReport { node: node.id, incarnation: 99, number: 1, round: ROUND, ..LoadReport::default() },
            ROUND,
        );
    }
}

fn model(reports: &[LoadReport]) -> LoadModel {
    let mut model = LoadModel::new(PARTITIONS);
    for report in reports {
        model.merge(report, ROUND);
    }
    model
}

fn planned(map: &Arc<PartitionMap>, load: &LoadModel, settings: &PlanSettings) -> Plan {
    let mut forecast = Forecast::default();
    forecast.update(load, ROUND * 2_000, load.requests() / map.nodes.len() as f64);
    let base = map.rendezvous();
    let history = ShiftHistory::default();
    plan(&PlanInput { map, base: &base, load, forecast: &forecast, history: &history, settings })
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn reports_give_the_same_model_in_any_order_and_once_or_twice(
        (reports, shuffled) in reports().prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let mut once = model(&reports);
        let mut twice = model(&shuffled);
        for report in &reports {
            prop_assert!(!twice.merge(report, ROUND));
        }
        once.advance(ROUND);
        twice.advance(ROUND);
        let loads = |model: &LoadModel| {
            let partitions: Vec<_> = (0..PARTITIONS).map(|partition| model.partition(partition)).collect();
            let keys: Vec<_> = model.keys(0.0).map(|(key, load)| (key.clone(), load)).collect();
            let together: Vec<_> = model.together().map(|(a, b, n)| (a.clone(), b.clone(), n)).collect();
            (model.rounds_known(), (model.requests(), model.distinct()), partitions, model.prefixes(0.0).collect::<Vec<_>>(), keys, together, model.fill())
        };
        prop_assert_eq!(loads(&once), loads(&twice));
    }

    #[test]
    fn a_report_survives_the_wire(report in report()) {
        prop_assert_eq!(LoadReport::decode(&report.encode()), Ok(report));
    }

    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = LoadReport::decode(&bytes);
        let _ = LoadReport::decode(&[b"FMLR\x01", &bytes[..]].concat());
    }

    #[test]
    fn every_plan_is_valid_within_its_budget_and_for_the_better(
        reports in reports(),
        weights in vec(0_u32..3, 1..6).prop_filter("one must bear", |weights| weights.iter().any(|&w| w > 0)),
        settings in settings(),
    ) {
        let (map, mut load) = (map(&weights), model(&reports));
        present(&mut load, &map);
        let first = planned(&map, &load, &settings);
        prop_assert_eq!(&first, &planned(&map, &load, &settings), "the same input, the same plan");
        let free = settings.entries_free as f64 / settings.entries.unwrap_or(1) as f64;
        let budget = settings.entries_at_most.max(free) + first.beyond;
        prop_assert!(first.entries <= budget + 1e-12, "{} of {budget}", first.entries);
        prop_assert!(first.after.cost <= first.before.cost + 1e-9, "{}", first);
        let next = shift(&map, &first.moves).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(next.rules.len(), first.after.rules);
        if !first.is_empty() {
            prop_assert_eq!(next.exceptions.len(), first.after.exceptions);
        }
        for change in &first.moves {
            if let Move::Place { prefix, portion } = change {
                prop_assert_eq!(usize::from(portion.depth), prefix.depth());
            }
        }
        // And the next plan, made from the same loads, is one for that map.
        let next = Arc::new(next);
        let second = planned(&next, &load, &settings);
        prop_assert!(shift(&next, &second.moves).is_ok() && second.base == next.epoch);
    }
}
