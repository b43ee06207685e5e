use super::*;

/// Round figures, so that plans can be worked out by hand.
fn costs() -> Costs {
    Costs {
        batch_us: 10.0,
        key_us: 1.0,
        miss_us: 20.0,
        master_read_us: 5.0,
        write_us: 60.0,
        master_write_us: 40.0,
        tail_us: 10.0,
        master_tail_us: 1.0,
        tail_rate: 100_000.0,
        idle_gateway: 0.1,
        idle_master: 0.1,
        event_us: 10.0,
        event_bytes: 300.0,
        redis_fixed_bytes: 300.0,
        redis_key_factor: 2.0,
        redis_value_factor: 1.0,
        version_bytes: 100.0,
        entry_fixed_bytes: 200.0,
        entry_key_factor: 1.0,
        entry_value_factor: 1.0,
        map_bytes: 100.0,
        map_node_bytes: 50.0,
        map_rule_bytes: 30.0,
        map_exception_bytes: 4.0,
    }
}

fn workload() -> Workload {
    Workload {
        keys: 1e7,
        key_bytes: 50.0,
        value_bytes: 100.0,
        requests: 100_000.0,
        write_share: 0.1,
        batch: 11.0,
        hit_share: 0.9,
        held_share: 0.1,
        clients: 1_000.0,
        interest: 0.0,
        replicas: 1.0,
        versions: 3.0,
        rules: 10.0,
        exceptions: 5.0,
        gateway_cores: 4.0,
        gateway_memory: 8e9,
        master_memory: 1e9,
        busy: 0.5,
        full: 0.5,
    }
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
}

#[test]
fn a_plan_is_what_it_comes_to_by_hand() {
    // 10,000 writes and 90,000 reads of 11 keys a second: 990,000 keys, 99,000 from the store.
    // Gateways share 90,000 x (10 + 10 x 1) + 99,000 x 20 + 10,000 x (60 - 10) + 1,000 x 10
    //   = 1.8 + 1.98 + 0.5 + 0.01 = 4.29 cores.
    // Masters hold 10^7 x ((300 + 2 x 50 + 100) + 2 x (100 + 50 + 100)) = 10^10 bytes: 20 at 0.5 GB each,
    //   so 256 / 20 = 12 shards each, 22 masters.
    // Each gateway spends 10,000 x 10 us + 22 x 0.1 % = 0.122 cores; 2 - 0.122 = 1.878 are left: 3 gateways.
    // Masters' processors: (99,000 x 5 + 10,000 x (40 + 2 x 1)) / 10^6 = 0.915 cores; at 0.5 - 0.003 each, 1.85.
    let plan = Plan::of(&workload(), &costs()).expect("it fits");
    assert_eq!((plan.gateways, plan.gateways_by), (3.0, Limit::Processor));
    assert_eq!((plan.masters, plan.masters_by), (22.0, Limit::Memory));
    assert_eq!(plan.servers, 44.0);
    close(plan.gateway_busy, 4.29 / 3.0 + 0.122);
    // The fullest master has 12 of 256 shards.
    close(plan.master_bytes, 1e10 * 12.0 / 256.0);
    close(plan.master_busy, 0.915 * 12.0 / 256.0 + 0.003);
    // 10^6 entries of 350 bytes over three gateways.
    close(plan.gateway_bytes, 3.5e8 / 3.0);
    close(plan.log_entries, 30_000.0);
    close(plan.log_cores, 0.3);
    close(plan.idle_cores, 3.0 * 22.0 * 0.002);
    close(plan.map_bytes, 100.0 + 50.0 + 300.0 + 20.0);
    // A heartbeat a second each.
    close(plan.events, 1_000.0);
    close(plan.event_bytes, 300_000.0);
    // 16 shards on 16 masters, 42 us a write.
    close(plan.component_writes, 16.0 * 0.497e6 / 42.0);
}

#[test]
fn a_small_namespace_takes_the_least() {
    let small = Workload { keys: 1e4, requests: 10.0, clients: 1.0, ..workload() };
    let plan = Plan::of(&small, &costs()).expect("it fits");
    assert_eq!((plan.gateways, plan.gateways_by), (2.0, Limit::Least));
    assert_eq!((plan.masters, plan.masters_by), (3.0, Limit::Least));
}

#[test]
fn feeds_and_memory_decide_where_they_are_most() {
    let (places, free) = (Feeds::MAX as f64, Costs { event_us: 0.0, ..costs() });
    let plan = Plan::of(&Workload { clients: 10.0 * places, ..workload() }, &free).expect("it fits");
    assert_eq!((plan.gateways, plan.gateways_by), (10.0, Limit::Feeds));
    // 10^7 entries of 350 bytes at half of 100 MB each.
    let held = Workload { held_share: 1.0, gateway_memory: 1e8, ..workload() };
    let plan = Plan::of(&held, &costs()).expect("it fits");
    assert_eq!((plan.gateways, plan.gateways_by), (70.0, Limit::Memory));
}

#[test]
fn walls_are_told_apart() {
    let fails = |workload: Workload, costs: Costs| Plan::of(&workload, &costs).expect_err("a wall");
    // 200,000 writes a second x 10 us are the two cores that a gateway may use.
    let busy = Costs { tail_rate: 1e9, ..costs() };
    assert_eq!(fails(Workload { requests: 2_000_000.0, master_memory: 1e12, ..workload() }, busy), Wall::Tailing);
    // One process applies 50,000 a second at half its rate.
    assert_eq!(fails(Workload { requests: 500_001.0, ..workload() }, costs()), Wall::Tailing);
    // 256 masters of 0.5 GB hold 1.28 x 10^8 keys of 1,000 bytes.
    assert!(Plan::of(&Workload { keys: 1.28e8, held_share: 0.0, ..workload() }, &costs()).is_ok());
    assert_eq!(fails(Workload { keys: 1.2801e8, held_share: 0.0, ..workload() }, costs()), Wall::Shards);
    // 500 gateways at 0.1 % each.
    let (places, free) = (Feeds::MAX as f64, Costs { event_us: 0.0, ..costs() });
    assert_eq!(fails(Workload { clients: 501.0 * places, ..workload() }, free), Wall::Polling);
    let quiet = Costs { idle_master: 0.0, master_tail_us: 0.0, ..free };
    assert_eq!(fails(Workload { clients: 4_097.0 * places, ..workload() }, quiet), Wall::Nodes);
}

#[test]
fn the_furthest_is_just_before_the_wall() {
    // 1.28 x 10^8 keys fit, 12.8 times as many; writes would go to 5 times as many, where one process no longer follows.
    let (factor, wall) = furthest(&workload(), &costs()).expect("a wall");
    assert_eq!(wall, Wall::Tailing);
    assert!((factor - 5.0).abs() < 1e-6, "{factor}");
    let reads = Workload { write_share: 0.0, clients: 0.0, ..workload() };
    let (factor, wall) = furthest(&reads, &costs()).expect("a wall");
    assert_eq!(wall, Wall::Shards);
    assert!((factor - 12.8).abs() < 1e-6, "{factor}");
    let (factor, _) = furthest(&workload().times(10.0), &costs()).expect("a wall");
    assert!((factor - 0.5).abs() < 1e-6, "{factor}");
}

#[test]
fn more_of_anything_never_takes_fewer_machines() {
    type Change = fn(&mut Workload, f64);
    let changes: [(&str, Change); 11] = [
        ("keys", |w, f| w.keys *= f),
        ("key bytes", |w, f| w.key_bytes *= f),
        ("value bytes", |w, f| w.value_bytes *= f),
        ("requests", |w, f| w.requests *= f),
        ("batch", |w, f| w.batch *= f),
        ("misses", |w, f| w.hit_share = 1.0 - 0.01 * f),
        ("held", |w, f| w.held_share = 0.01 * f),
        ("clients", |w, f| w.clients *= f),
        ("interest", |w, f| w.interest = 1e-4 * f),
        ("replicas", |w, f| w.replicas *= f),
        ("versions", |w, f| w.versions *= f),
    ];
    for (name, change) in changes {
        let mut before = (0.0, 0.0);
        for step in 0..40 {
            let mut workload = workload();
            change(&mut workload, 1.0 + f64::from(step) / 10.0);
            let Ok(plan) = Plan::of(&workload, &costs()) else { break };
            let now = (plan.gateways, plan.servers);
            assert!(now.0 >= before.0 && now.1 >= before.1, "{name}: {now:?} after {before:?}");
            before = now;
        }
        assert!(before.0 > 0.0, "{name} never fitted");
    }
}
