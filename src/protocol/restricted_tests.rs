use super::*;
use crate::protocol::{PlaceClass, QuantizedShare, TemplateContext, TemplateRule};

fn rule(before: Option<u32>, last: u32, next: &[u32]) -> KeyRule {
    let next = next.iter().map(|&key| (key, QuantizedShare::of(0.25))).collect();
    KeyRule { before, last, then: Successors { visits: 3, next } }
}

fn model() -> ModelSnapshot {
    let keys = ["a/1", "a/2", "a/3", "b/1", "b/2", "c"].map(str::to_owned).to_vec();
    let rules = vec![
        rule(None, 0, &[1, 3]),
        rule(Some(3), 0, &[1]),
        rule(Some(5), 0, &[2]),
        rule(None, 1, &[3, 4]),
        rule(None, 3, &[1]),
        rule(None, 5, &[0, 5]),
    ];
    let template_rules =
        vec![TemplateRule { context: TemplateContext::Shape, shape: 8, then: rule(None, 0, &[0]).then }];
    ModelSnapshot {
        made: 5,
        name_bytes: 2,
        keys,
        popularity: vec![0, 1, 2, 3, 4, 5],
        rules,
        templates: vec![vec![1, 0]],
        template_rules,
        places: vec![PlaceClass { place: 4, is_kind: true }],
        threshold: 9,
        calibration: vec![1],
    }
}

#[test]
fn nothing_is_left_of_what_may_not_be_read() {
    let restricted = model().restricted(|key| !key.starts_with("b/"));
    assert_eq!(restricted.keys, ["a/1", "a/2", "a/3", "c"]);
    assert_eq!(restricted.popularity, [0, 1, 2, 5]);
    let expected = [rule(None, 0, &[1]), rule(Some(3), 0, &[2]), rule(None, 3, &[0, 3])];
    assert_eq!(restricted.rules, expected);
    assert_eq!(ModelSnapshot::decode(&restricted.encode()).as_ref(), Ok(&restricted));
    let rest =
        |model: ModelSnapshot| ModelSnapshot { keys: Vec::new(), popularity: Vec::new(), rules: Vec::new(), ..model };
    assert_eq!(rest(restricted), rest(model()));
}

#[test]
fn a_key_that_no_rule_names_is_left_out() {
    let restricted = model().restricted(|key| key == "a/2" || key == "c");
    assert_eq!((restricted.keys, restricted.rules), (vec!["c".to_owned()], vec![rule(None, 0, &[0])]));
    let none = model().restricted(|_| false);
    assert!(none.keys.is_empty() && none.rules.is_empty());
    assert!(ModelSnapshot::decode(&none.encode()).is_ok());
    assert_eq!(model().restricted(|_| true), model());
}
