use super::*;

fn evidence(count: u16, total: u16) -> Step {
    Step::Direct(Evidence { expert: Expert::Order1, count, total, latest: true })
}

#[test]
fn support_counts_before_anything_is_known() {
    let cells = Cells::new();
    let of = |count, total| cells.probability(&evidence(count, total)).0;
    assert!(of(1, 1) < 0.4);
    assert!(of(1, 1) < of(3, 3) && of(3, 3) < of(20, 20) && of(20, 20) < 1.0);
    assert!(of(2, 20) < of(10, 20));
}

#[test]
fn cells_learn_what_their_evidence_is_worth() {
    let mut cells = Cells::new();
    let (_, sure) = cells.probability(&evidence(1, 1));
    let (_, vain) = cells.probability(&evidence(20, 20));
    for n in 0..1_000 {
        cells.book(sure);
        cells.book(vain);
        if n % 10 != 0 {
            cells.pay_back(sure);
        }
    }
    assert!((cells.probability(&evidence(1, 1)).0 - 0.9).abs() < 0.02);
    assert!(cells.probability(&evidence(20, 20)).0 < 0.02);
    // And unlearn it.
    for _ in 0..1_500 {
        cells.book(sure);
    }
    assert!(cells.probability(&evidence(1, 1)).0 < 0.1);
}

#[test]
fn a_booking_lowers_the_confidence_until_it_is_paid_back() {
    let mut cells = Cells::new();
    let (before, cell) = cells.probability(&evidence(4, 5));
    cells.book(cell);
    assert!(cells.probability(&evidence(4, 5)).0 < before);
    cells.pay_back(cell);
    assert!(cells.probability(&evidence(4, 5)).0 > before);
}

#[test]
fn every_step_has_a_cell_of_its_kind_and_a_probability() {
    let cells = Cells::new();
    let mut direct = std::collections::HashSet::new();
    for expert in [Expert::Order2, Expert::Order1, Expert::Backoff] {
        for (count, total) in [(0, 0), (1, 1), (1, 9), (9, 9), (40, 60), (u16::MAX, 1), (u16::MAX, u16::MAX)] {
            for latest in [false, true] {
                let (probability, cell) = cells.probability(&Step::Direct(Evidence { expert, count, total, latest }));
                assert!(probability.is_finite() && usize::from(cell.0) < DIRECT);
                direct.insert((expert, latest, cell.0));
            }
        }
    }
    assert!(direct.iter().map(|(_, _, cell)| cell).collect::<std::collections::HashSet<_>>().len() > 20);
    for path in [0.0, 0.5, 1.0, f32::MIN_POSITIVE, 7.0, -1.0] {
        for depth in [0, 1, 2, 9, u8::MAX] {
            let (probability, cell) = cells.probability(&Step::Chained { path, depth });
            assert!((0.0..=1.0).contains(&probability));
            assert!((DIRECT..DIRECT + CHAINED).contains(&usize::from(cell.0)));
        }
    }
    assert_eq!(cells.bytes(), (DIRECT + CHAINED) * 8);
}
