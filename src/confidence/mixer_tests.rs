use super::*;
use crate::analyzer::Grade;

fn evidence(expert: Expert, count: u16, total: u16) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.grades[expert as usize] = Grade::of(count, total, true);
    evidence
}

/// Deterministic noise (xorshift64; Marsaglia, 2003), between 0 and 1.
fn noise(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1_u64 << 24) as f32
}

fn outcome(mixer: &mut Mixer, cells: &mut Cells, evidence: &Evidence, came_true: bool) {
    let score = mixer.score(cells, evidence);
    cells.book(&score.learns.evidence);
    mixer.book(&score);
    if came_true {
        cells.pay_back(&score.learns.evidence);
        mixer.pay_back(&score.learns);
    }
}

#[test]
fn probabilities_become_frequencies_for_one_expert_and_for_agreement() {
    let (mut mixer, mut cells, mut state) = (Mixer::new(), Cells::new(), 7);
    let (weak, strong) = (evidence(Expert::Order1, 1, 4), evidence(Expert::Template, 9, 10));
    let mut both = weak;
    both.grades[Expert::Template as usize] = strong.grades[Expert::Template as usize];
    for _ in 0..20_000 {
        for (evidence, frequency) in [(&weak, 0.1), (&strong, 0.6), (&both, 0.9)] {
            let came_true = noise(&mut state) < frequency;
            outcome(&mut mixer, &mut cells, evidence, came_true);
        }
    }
    for (evidence, frequency) in [(&weak, 0.1), (&strong, 0.6), (&both, 0.9)] {
        let stated = mixer.score(&cells, evidence).probability;
        assert!((stated - frequency).abs() < 0.08, "{stated} for {frequency}");
    }
}

#[test]
fn an_expert_that_starts_to_fail_falls_silent() {
    let (mut mixer, mut cells) = (Mixer::new(), Cells::new());
    let rule = evidence(Expert::Template, 9, 9);
    for _ in 0..300 {
        outcome(&mut mixer, &mut cells, &rule, true);
    }
    assert!(mixer.score(&cells, &rule).probability > 0.8);
    for _ in 0..300 {
        outcome(&mut mixer, &mut cells, &rule, false);
    }
    assert!(mixer.score(&cells, &rule).probability < 0.5);
}

#[test]
fn chains_are_calibrated_by_length_and_product() {
    let mut chains = Chains::new();
    assert!((chains.score(0.5, 2).0 - 0.5).abs() < 0.01);
    for _ in 0..200 {
        let (_, bin) = chains.score(0.5, 2);
        chains.book(bin);
    }
    assert!(chains.score(0.5, 2).0 < 0.1);
    assert!((chains.score(0.5, 3).0 - 0.5).abs() < 0.01);
    for path in [0.0, 1.0, 7.0, -1.0, f32::NAN] {
        for depth in [0, 9, u8::MAX] {
            assert!(usize::from(chains.score(path, depth).1) < chains.knots.len());
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever happens, in whatever order: a probability is one.
        #[test]
        fn a_probability_is_one(steps in prop::collection::vec((any::<[u8; 7]>(), any::<bool>()), 1..400)) {
            let (mut mixer, mut cells) = (Mixer::new(), Cells::new());
            for (bytes, came_true) in steps {
                let mut evidence = Evidence::default();
                for (grade, byte) in evidence.grades.iter_mut().zip(bytes) {
                    *grade = Grade::from_index(usize::from(byte) % Grade::COUNT);
                }
                evidence.popularity = bytes[4] % Evidence::POPULARITIES as u8;
                evidence.predicted = bytes[5] % Evidence::RECORDS as u8;
                evidence.predicts = bytes[6] % Evidence::RECORDS as u8;
                let probability = mixer.score(&cells, &evidence).probability;
                prop_assert!((0.0..=1.0).contains(&probability), "{probability}");
                outcome(&mut mixer, &mut cells, &evidence, came_true);
            }
        }
    }
}
