use super::*;

#[test]
fn what_the_repository_holds_is_whole() {
    let embedded = Coefficients::embedded().expect("JSON");
    let costs = embedded.costs().expect("whole");
    assert!(costs.batch_us > 0.0 && costs.redis_fixed_bytes > 0.0 && costs.tail_rate > 0.0);
    assert!(embedded.coefficients.values().all(|c| !c.row.is_empty()));
    assert_eq!(embedded.coefficients.len(), Costs::NAMES.len());
}

#[test]
fn what_is_missing_unknown_or_impossible_is_named() {
    let whole = Coefficients::embedded().expect("JSON");
    let fails = |change: &dyn Fn(&mut BTreeMap<String, Coefficient>)| {
        let mut broken = whole.clone();
        change(&mut broken.coefficients);
        broken.costs().expect_err("broken").to_string()
    };
    assert!(fails(&|c| drop(c.remove("tail_us"))).contains("`tail_us` is missing"));
    assert!(fails(&|c| c.get_mut("tail_us").expect("there").value = -1.0).contains("`tail_us` is -1"));
    assert!(fails(&|c| c.get_mut("tail_us").expect("there").unit = "ms".into()).contains("in `ms`, not `us`"));
    let other = |c: &mut BTreeMap<String, Coefficient>| {
        let one = c["tail_us"].clone();
        c.insert("tail_ms".into(), one);
    };
    assert!(fails(&other).contains("there is no coefficient `tail_ms`"));
}
