use proptest::prelude::*;

use super::*;

/// A selection of so many entries of one context each, with what each gains.
fn ordered(gains: &[f32], texts: &[String]) -> Selection {
    let mut selection = Selection::default();
    for (at, &gain) in gains.iter().enumerate() {
        let (context, choice) = (RuleContext::Keys(u32::MAX, at as u32), Choice::Key(at as u32));
        selection.offer(RankedRule { context, choice, share: 0.5, visits: 1.0, gain });
    }
    let text = |choice| match choice {
        Choice::Key(at) | Choice::Template(at) => texts[at as usize].as_bytes(),
    };
    selection.order(text);
    selection
}

#[test]
fn what_gains_most_by_the_byte_comes_first() {
    let texts = ["aaaa", "bbbb", "c".repeat(400).as_str(), "dddd"].map(str::to_owned);
    let selection = ordered(&[1.0, 3.0, 3.0, 2.0], &texts);
    let order: Vec<Choice> = selection.chosen().iter().map(|entry| entry.choice).collect();
    assert_eq!(order, [1, 3, 0, 2].map(Choice::Key));
}

#[test]
fn of_those_that_are_worth_the_same_the_text_decides() {
    let texts = ["bbb", "aaa", "ccc"].map(str::to_owned);
    let selection = ordered(&[1.0; 3], &texts);
    let order: Vec<Choice> = selection.chosen().iter().map(|entry| entry.choice).collect();
    assert_eq!(order, [1, 0, 2].map(Choice::Key));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nearly as many are chosen as fit, wherever the estimate lies beside the truth.
    #[test]
    fn as_many_are_chosen_as_fit(
        count in 0_usize..300,
        by_entry in 1_usize..40,
        head in 0_usize..30,
        max_bytes in 0_usize..6_000,
    ) {
        let texts: Vec<String> = (0..count).map(|n| format!("key/{n:03}")).collect();
        let mut selection = ordered(&vec![1.0; count], &texts);
        let size = |entries: &[RankedRule]| head + by_entry * entries.len();
        selection.fit(max_bytes, size);
        let chosen = selection.chosen().len();
        let most = (max_bytes.saturating_sub(head) / by_entry).min(count);
        prop_assert!(chosen <= most, "{chosen} of {most}");
        prop_assert!(chosen == most || size(selection.chosen()) + max_bytes / 32 + 2 * by_entry >= max_bytes, "{chosen} of {most}");
    }
}
