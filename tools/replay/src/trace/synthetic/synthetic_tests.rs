use std::collections::{HashMap, HashSet};

use foremap::key::CompositeKey;

use super::*;

const ALL: [&str; 8] = ["profiles", "series", "walks", "tiles", "scan", "phase", "noise", "tenants"];

fn trace(workload: &str, requests: usize) -> Trace {
    synthesize(&format!("synthetic:{workload}?requests={requests}")).expect("a workload")
}

/// Each request's client, key and whether it is foreseeable, in order.
fn steps(trace: &Trace) -> impl Iterator<Item = (u32, &str, bool)> {
    let foreseeable = trace.foreseeable.as_ref().expect("synthetic");
    let steps = trace.requests.iter().zip(foreseeable);
    steps.map(|(request, &known)| (request.client, trace.keys[request.key as usize].as_str(), known))
}

#[test]
fn one_name_is_one_trace() {
    for workload in ALL {
        let (once, again) = (trace(workload, 2_000), trace(workload, 2_000));
        assert_eq!((&once.requests, &once.keys), (&again.requests, &again.keys), "{workload}");
        let other = synthesize(&format!("synthetic:{workload}?seed=2&requests=2000")).expect("a workload");
        assert!((once.requests, once.keys) != (other.requests, other.keys), "{workload}");
    }
}

#[test]
fn values_are_those_of_the_first_version() {
    let shown = |workload: &str| {
        let trace = trace(workload, 40);
        steps(&trace).last().map(|(client, key, known)| format!("{client} {key} {known}")).expect("40 steps")
    };
    let first = [
        "21 user/c80de0f9d4/avatar true",
        "0 metric/m001/2027/06/29/12 true",
        "9 catalog/c4/120018 false",
        "1 tiles/14/9795/9612 true",
        "4 page/7d76569305 false",
        "6 page/73d34e79ab false",
        "1 page/8082ff978c false",
        "17 tenant3/user/6e73e372e2/avatar true",
    ];
    assert_eq!(ALL.map(shown), first);
}

#[test]
fn keys_are_canonical_and_times_do_not_step_back() {
    for workload in ALL {
        let trace = trace(workload, 5_000);
        for key in &trace.keys {
            assert_eq!(CompositeKey::parse(key).expect("a key").as_str(), key);
        }
        assert!(trace.requests.is_sorted_by_key(|request| request.at_ms), "{workload}");
        assert_eq!(trace.foreseeable.map(|known| known.len()), Some(5_000));
    }
}

#[test]
fn what_is_foreseeable_follows_from_the_client_s_last_keys() {
    let last_number =
        |key: &str| key.rsplit_once('/').and_then(|(_, last)| last.parse::<i64>().ok()).expect("a number");
    let walks = trace("walks", 20_000);
    let mut seen: HashMap<u32, Vec<i64>> = HashMap::new();
    for (client, key, known) in steps(&walks) {
        let seen = seen.entry(client).or_default();
        let at = last_number(key);
        if known {
            let [.., before, last] = seen[..] else {
                assert_eq!(seen.last().map(|last| (last + 1).rem_euclid(1_000_000)), Some(at));
                seen.push(at);
                continue;
            };
            let expected = [last + 1, 2 * last - before].map(|next| next.rem_euclid(1_000_000));
            assert!(expected.contains(&at), "{before} {last} {at}");
        }
        seen.push(at);
    }
    let profiles = trace("profiles", 20_000);
    let mut last: HashMap<u32, String> = HashMap::new();
    for (client, key, known) in steps(&profiles) {
        let (user, part) = key.rsplit_once('/').expect("two components");
        assert_eq!(known, part != "profile");
        if known {
            assert!(last[&client].starts_with(&format!("{user}/")));
        }
        last.insert(client, key.to_owned());
    }
}

#[test]
fn each_workload_has_its_share_of_what_is_foreseeable_and_of_new_keys() {
    let shares = ALL.map(|workload| {
        let trace = trace(workload, 50_000);
        let known = steps(&trace).filter(|(_, _, known)| *known).count();
        (known * 100 / 50_000, trace.keys.len() * 100 / 50_000)
    });
    let expected = [(77, 72), (97, 96), (92, 99), (95, 84), (25, 29), (81, 4), (0, 10), (89, 90)];
    assert_eq!(shares, expected, "percent of the requests");
}

#[test]
fn links_change_halfway() {
    let phase = trace("phase", 40_000);
    let mut links: [HashSet<(String, String)>; 2] = Default::default();
    let mut last: HashMap<u32, String> = HashMap::new();
    for (at, (client, key, known)) in steps(&phase).enumerate() {
        let before = last.insert(client, key.to_owned());
        if known {
            links[at / 20_000].insert((before.expect("a page before"), key.to_owned()));
        }
    }
    assert!(links.iter().all(|links| links.len() > 1_500));
    assert!(links[0].intersection(&links[1]).count() < 20);
}

#[test]
fn what_is_not_a_workload_is_a_clear_error() {
    let said = |name: &str| format!("{:#}", synthesize(name).expect_err("no workload"));
    assert!(said("synthetic:nothing").contains("there are profiles"));
    assert!(said("synthetic:noise?speed=1").contains("no parameter `speed`"));
    assert!(said("synthetic:noise?seed=x").contains("not `x`"));
    assert!(said("synthetic:noise?requests=0").contains("1 to"));
}
