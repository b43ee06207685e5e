use super::*;

fn budget(rate: f64, threshold: f32) -> WasteBudget {
    WasteBudget::new(&PrefetchConfig { waste_budget: rate, threshold, ..PrefetchConfig::default() }.checked())
}

#[test]
fn the_waste_budget_earns_with_requests_and_counts_what_is_outstanding_as_waste() {
    let mut budget = budget(0.25, 0.1);
    assert_eq!(budget.left(0, 0), 1.0);
    for _ in 0..100 {
        budget.on_request();
    }
    assert_eq!(budget.left(5, 10), 25.0 + 1.0 - 15.0);
    assert!(WasteBudget::new(&PrefetchConfig { waste_budget: 0.0, ..PrefetchConfig::default() }).left(0, 0) < 1.0);
}

#[test]
fn the_threshold_rises_with_excess_waste_and_falls_back_to_its_floor() {
    let mut budget = budget(0.25, 0.2);
    let start = budget.threshold();
    for _ in 0..1_000 {
        budget.pace(1.0, 0.0);
    }
    let high = budget.threshold();
    assert!(start < high && high < 1.0);
    for _ in 0..10_000 {
        budget.pace(0.0, 50.0);
    }
    assert_eq!(budget.threshold(), 0.2);
}

#[test]
fn more_waste_than_expected_raises_the_threshold_faster() {
    let (mut honest, mut hopeful) = (budget(0.25, 0.1), budget(0.25, 0.1));
    for _ in 0..200 {
        for budget in [&mut honest, &mut hopeful] {
            budget.issued(0.5);
            budget.issued(0.5);
        }
        honest.not_wasted();
        honest.pace(0.3, 0.0);
        hopeful.pace(0.3, 0.0);
    }
    assert!(hopeful.threshold() > honest.threshold());
}

#[test]
fn caution_only_ever_raises_the_threshold() {
    let mut budget = budget(0.25, 0.1);
    let normal = budget.threshold();
    budget.set_caution(Caution::Cautious);
    assert!(budget.threshold() > normal && !budget.is_off());
    budget.set_caution(Caution::Off);
    assert!(budget.is_off() && budget.threshold() == 1.0);
    budget.set_caution(Caution::Normal);
    assert_eq!(budget.threshold(), normal);
}

#[test]
fn settings_out_of_range_are_brought_into_it() {
    let config = PrefetchConfig {
        waste_budget: f64::NAN,
        threshold: f32::NAN,
        max_depth: 0,
        max_orders: 0,
        ..PrefetchConfig::default()
    };
    let checked = config.checked();
    assert_eq!((checked.waste_budget, checked.threshold, checked.max_depth, checked.max_orders), (0.0, 1.0, 1, 1));
    assert_eq!(PrefetchConfig { waste_budget: f64::INFINITY, ..config }.checked().waste_budget, 16.0);
    assert_eq!(PrefetchConfig { waste_budget: -1.0, ..config }.checked().waste_budget, 0.0);
}

#[test]
fn starts_from_the_threshold_of_others_but_not_below_its_floor() {
    for (floor, start, expected) in
        [(0.1, 0.4, 0.4), (0.1, 0.0, 0.1), (0.5, 0.2, 0.5), (0.1, 1.0, 0.99), (0.995, 0.2, 0.995), (1.0, 0.5, 1.0)]
    {
        let mut budget = budget(0.25, floor);
        budget.start_at(start);
        assert!((budget.threshold() - expected).abs() < 1e-6, "{floor} {start}: {}", budget.threshold());
        budget.on_request();
        budget.pace(0.25, 0.0);
        assert!((budget.threshold() - expected).abs() < 0.01, "{floor} {start}: {} goes on", budget.threshold());
    }
}
