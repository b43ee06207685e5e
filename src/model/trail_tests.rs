use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn told(trail: &mut Trail) -> Option<Summary> {
    trail.tell(4_096).map(|bytes| Summary::decode(&bytes).expect("its own form"))
}

#[test]
fn requests_are_told_once_and_lead_on_to_the_next() {
    let mut trail = Trail::new(7);
    trail.earn(1 << 20);
    assert!(told(&mut trail).is_none(), "nothing followed anything");
    for (stream, text) in [("", "a"), ("", "b"), ("tab", "x"), ("", "c"), ("tab", "y")] {
        trail.note(stream, &key(text), false);
    }
    let first = told(&mut trail).expect("paid for");
    let paths = |summary: &Summary| -> Vec<(u8, Vec<String>)> {
        let text = |step: &PathStep| summary.keys[step.key as usize].as_str().to_owned();
        summary.paths.iter().map(|path| (path.told, path.steps.iter().map(text).collect())).collect()
    };
    let of = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(&first), [(0, of(&["a", "b", "c"])), (0, of(&["x", "y"]))]);
    assert!(trail.is_empty());
    trail.note("", &key("a"), true);
    trail.note("", &key("d"), false);
    let second = told(&mut trail).expect("paid for");
    assert_eq!(paths(&second), [(2, of(&["b", "c", "a", "d"]))]);
    assert_eq!((first.epoch, second.epoch, first.instance), (1, 2, second.instance));
    assert!(second.paths[0].steps[2].repeated && !second.paths[0].steps[3].repeated);
}

#[test]
fn telling_takes_a_hundredth_of_demand_of_all_clients_together() {
    let (mut told, mut demand) = (0, 0);
    for client in 0..2_000 {
        let mut trail = Trail::new(client);
        for at in 0..4 + client % 40 {
            trail.note("", &key(&format!("item/{}", mix(client + at) % 5_000)), false);
            trail.earn(200);
            demand += 200;
            if at % 3 == 2 {
                told += trail.tell(4_096).map_or(0, |bytes| bytes.len());
            }
        }
        told += trail.tell(4_096).map_or(0, |bytes| bytes.len());
    }
    let share = told as f64 / demand as f64;
    assert!((0.003..=0.0102).contains(&share), "{share}");
}

#[test]
fn memory_and_bytes_are_bounded_and_the_newest_is_told() {
    let mut trail = Trail::new(1);
    trail.earn(1 << 40);
    for at in 0..10_000 {
        trail.note("", &key(&format!("some/rather/long/key/{at}")), false);
    }
    assert_eq!(trail.len(), Trail::BOUND);
    let bytes = trail.tell(300).expect("paid for");
    let summary = Summary::decode(&bytes).expect("its own form");
    assert!(bytes.len() <= 300 && summary.keys.len() > 5);
    assert_eq!(summary.keys.last().map(CompositeKey::as_str), Some("some/rather/long/key/9999"));
}

fn items(texts: &[&str], class: Class) -> Vec<BatchItem> {
    texts.iter().map(|text| BatchItem { key: key(text), if_version: None, class }).collect()
}

#[test]
fn a_batch_tells_what_the_cache_answered_before_it() {
    let (mut trail, origin) = (Trail::new(7), Arc::from("https://gateway"));
    trail.earn(1_000);
    trail.note("", &key("home"), false);
    let mut batch = items(&["home"], Class::Demand);
    batch.extend(items(&["news", "shop"], Class::Prefetch));
    let first = trail.ride(&origin, &batch).expect("paid for");
    assert_eq!(first, Rider::default());
    for text in ["news", "home", "elsewhere", "news/1"] {
        trail.note("", &key(text), text == "home");
    }
    let batch_2 = items(&["news/1"], Class::Demand);
    let second = trail.ride(&origin, &batch_2).expect("paid for");
    assert_eq!(second, Rider { after: Some(first.link(&batch)), asked: vec![2, 3, 0] });
    assert!(trail.is_empty(), "told");
    let third = trail.ride(&origin, &items(&["news/2"], Class::Prefetch)).expect("paid for");
    assert_eq!(third, Rider { after: Some(second.link(&batch_2)), asked: vec![] });
}

#[test]
fn riders_take_a_hundredth_of_demand() {
    let origin = Arc::from("https://gateway");
    let (mut told, mut demand, mut batches, mut silent) = (0, 0, 0, 0);
    for client in 0..200 {
        let mut trail = Trail::new(client);
        for at in 0..4 + client {
            let key = key(&format!("item/{}", mix(client + at) % 30));
            let cached = at % 3 != 0;
            trail.note("", &key, cached);
            if !cached {
                trail.earn(100);
                let batch = [BatchItem { key, if_version: None, class: Class::Demand }];
                let rider = trail.ride(&origin, &batch);
                told += rider.as_ref().map_or(0, Rider::len);
                (batches, silent) = (batches + 1, silent + u32::from(rider.is_none()));
                trail.earn(300);
                demand += 400;
            }
        }
    }
    assert!(told * 100 <= demand && silent * 50 < batches, "{told} of {demand}, {silent} of {batches}");
}

#[test]
fn whoever_has_earned_too_little_begins_anew() {
    let (mut trail, origin) = (Trail::new(1), Arc::from("https://gateway"));
    let batch = items(&["a"], Class::Demand);
    let told: Vec<bool> = (0..40).map(|_| trail.ride_of("a", &origin, &batch)).collect();
    assert!(told[0] && !told[39]);
    trail.earn(100_000);
    trail.note("", &key("a"), true);
    assert_eq!(trail.ride(&origin, &batch).map(|rider| rider.after), Some(None));
}

#[test]
fn several_streams_or_gateways_are_told_of_in_summaries() {
    for (stream, origin) in [("other", "https://a"), ("", "https://b")] {
        let mut trail = Trail::new(1);
        trail.earn(1 << 20);
        trail.note("", &key("a"), false);
        assert!(trail.ride(&Arc::from("https://a"), &items(&["a"], Class::Demand)).is_some());
        trail.note("", &key("b"), false);
        trail.note(stream, &key("c"), false);
        assert!(trail.ride(&Arc::from(origin), &items(&["c"], Class::Demand)).is_none());
        assert_eq!(trail.len(), 2);
        assert!(told(&mut trail).is_some());
    }
}

impl Trail {
    fn ride_of(&mut self, text: &str, origin: &Arc<str>, batch: &[BatchItem]) -> bool {
        self.note("", &key(text), false);
        self.ride(origin, batch).is_some()
    }
}
