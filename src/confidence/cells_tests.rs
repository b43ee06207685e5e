use super::*;

fn evidence(count: u16, total: u16) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.grades[0] = Grade::of(count, total, true);
    evidence
}

#[test]
fn support_counts_before_anything_is_known() {
    let of = |count, total| Cells::new().cells[usize::from(Cells::ids(&evidence(count, total))[0])].logit;
    assert!(of(1, 1) < 0.0);
    assert!(of(1, 1) < of(3, 3) && of(3, 3) < of(20, 20));
    assert!(of(2, 20) < of(10, 20));
}

#[test]
fn cells_learn_what_their_evidence_is_worth() {
    let mut cells = Cells::new();
    let (sure, vain) = (evidence(1, 1), evidence(20, 20));
    for n in 0..1_000 {
        cells.book(&sure);
        cells.book(&vain);
        if n % 10 != 0 {
            cells.pay_back(&sure);
        }
    }
    assert!(cells.centred(&sure)[0] > 24 && cells.centred(&vain)[0] < -24);
    // And unlearn it.
    for _ in 0..1_500 {
        cells.book(&sure);
    }
    assert!(f32::from(cells.centred(&sure)[0]) / 16.0 + cells.base() < -2.0);
}

#[test]
fn every_evidence_has_cells_of_its_own_kind() {
    let mut grades = std::collections::HashSet::new();
    for (count, total) in [(0, 0), (1, 1), (1, 9), (9, 9), (40, 60), (u16::MAX, 1), (u16::MAX, u16::MAX)] {
        for latest in [false, true] {
            let grade = Grade::of(count, total, latest);
            assert!(grade.index() < Grade::COUNT && grade.is_listed() && (0.0..=1.0).contains(&grade.prior()));
            grades.insert(grade.index());
        }
    }
    assert!(grades.len() > 8);
    let largest = Evidence {
        grades: [Grade::from_index(Grade::COUNT - 1); Expert::COUNT],
        popularity: (Evidence::POPULARITIES - 1) as u8,
        predicted: (Evidence::RECORDS - 1) as u8,
        predicts: (Evidence::RECORDS - 1) as u8,
    };
    let ids = Cells::ids(&largest);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && usize::from(ids[INPUTS - 1]) < BASE);
    assert_eq!(Cells::ids(&Evidence::default())[..Expert::COUNT], [BASE as u16; Expert::COUNT]);
}

#[test]
fn what_has_nothing_to_say_changes_nothing() {
    assert_eq!(Cells::new().centred(&Evidence::default())[..Expert::COUNT], [0; Expert::COUNT]);
}
