use super::*;

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn found(changed: &[(&str, &str)], rewriting: bool, before: Option<&SettingsVerdict>) -> SettingsVerdict {
    let mut settings = BTreeMap::from(RULES.map(|(name, wanted, _)| (name, wanted)));
    settings.insert("appendfsync", "always");
    settings.extend(changed.iter().copied());
    let settings = settings.into_iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
    let persistence =
        format!("aof_enabled:1\r\naof_rewrite_in_progress:{}\r\naof_rewrite_scheduled:0\r\n", rewriting as u8);
    SettingsVerdict::read(vec![Value::Array(settings), text(&persistence)], before).expect("settings")
}

#[test]
fn a_broken_rule_is_told_with_what_to_set() {
    let good = found(&[], true, None);
    assert_eq!(
        good,
        SettingsVerdict { unfit: None, is_durable: true, lacks_file: false },
        "a file is rewritten now and then"
    );
    assert!(!found(&[("appendfsync", "everysec")], false, None).is_durable);
    for (name, wanted, _) in RULES {
        let why = found(&[(name, "else")], false, None).unfit.expect("unfit");
        assert!(why.contains(&format!("has {name} else; set {name} {wanted}")), "{why}");
    }
    let why = found(&[("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")], false, None).unfit.expect("unfit");
    assert!(why.contains("set appendonly yes") && why.contains("; and has maxmemory-policy allkeys-lru"), "{why}");
}

#[test]
fn a_file_that_was_switched_on_counts_when_it_is_written() {
    let without = found(&[("appendonly", "no")], false, None);
    assert!(!without.is_durable, "what is not written is not synced either");
    let writing = found(&[], true, Some(&without));
    assert!(writing.unfit.as_ref().is_some_and(|why| why.contains("still writing")), "{writing:?}");
    assert!(found(&[], true, Some(&writing)).unfit.is_some());
    let written = found(&[], false, Some(&writing));
    assert_eq!(written.unfit, None);
    assert_eq!(found(&[], true, Some(&written)).unfit, None, "a later one is in place of a complete one");
}

#[test]
fn what_is_not_told_is_not_taken_for_well() {
    let error = match ::redis::parse_redis_value(b"-NOPERM no permission\r\n") {
        Ok(error) => error,
        Err(error) => panic!("{error}"),
    };
    assert!(SettingsVerdict::read(vec![error, text("")], None).expect_err("refused").contains("NOPERM"));
    let nothing = SettingsVerdict::read(vec![Value::Array(Vec::new()), text("")], None).expect("an answer");
    assert!(nothing.unfit.is_some() && !nothing.is_durable);
    assert!(SettingsVerdict::read(vec![Value::Int(1), text("")], None).is_err());
}
