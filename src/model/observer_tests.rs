use super::*;

const CLIENT: ClientId = ClientId(7);

fn items(texts: &[&str], class: Class) -> Vec<BatchItem> {
    let key = |text: &&str| CompositeKey::parse(text).expect("valid");
    texts.iter().map(|text| BatchItem { key: key(text), if_version: None, class }).collect()
}

/// Client that does what it takes to be followed.
#[derive(Default)]
struct Tab {
    after: Option<u8>,
    fetched: Fetched,
}

impl Tab {
    /// The batch for these keys, once those were asked for that its cache had.
    fn batch(&mut self, cached: &[&str], demand: &[&str], ahead: &[&str]) -> (Rider, Vec<BatchItem>) {
        let name = |text: &&str| self.fetched.name(&CompositeKey::parse(text).expect("valid"));
        let rider = Rider { after: self.after, asked: cached.iter().map(name).collect() };
        let mut all = items(demand, Class::Demand);
        all.extend(items(ahead, Class::Prefetch));
        self.after = Some(rider.link(&all));
        self.fetched.push(&all);
        (rider, all)
    }
}

fn paths(told: &[ToldSummary]) -> Vec<(u8, String)> {
    let mut paths = Vec::new();
    for told in told {
        let summary = Summary::decode(&told.summary).expect("its own form");
        for path in &summary.paths {
            let text = |step: &PathStep| {
                let text = summary.keys[step.key as usize].as_str();
                if step.repeated { format!("({text})") } else { text.to_owned() }
            };
            paths.push((path.told, path.steps.iter().map(text).collect::<Vec<_>>().join(" ")));
        }
    }
    paths
}

fn all_due(observer: &mut Observer) -> Vec<(u8, String)> {
    let mut told = Vec::new();
    observer.due(Millis::MAX, &mut told);
    paths(&told)
}

#[test]
fn what_the_cache_answered_stands_between_what_it_did_not() {
    let (mut observer, mut tab, mut told) = (Observer::new(1), Tab::default(), Vec::new());
    for (now, cached, demand, ahead) in [
        (0, &[][..], &["home"][..], &["news", "shop"][..]),
        (100, &["news", "home"], &["news/1"], &[]),
        (200, &[], &["news/2"], &[]),
    ] {
        let (rider, items) = tab.batch(cached, demand, ahead);
        observer.observe(now, CLIENT, &rider, &items, &mut told);
    }
    observer.due(DUE_AFTER - 1, &mut told);
    assert!(told.is_empty());
    assert_eq!(all_due(&mut observer), [(0, "home news (home) news/1 news/2".to_owned())]);
    let (rider, items) = tab.batch(&["shop"], &["news/1"], &[]);
    observer.observe(300, CLIENT, &rider, &items, &mut told);
    assert_eq!(all_due(&mut observer), [(2, "news/1 news/2 shop (news/1)".to_owned())]);
    assert!(all_due(&mut observer).is_empty(), "told once");
    assert_eq!((observer.stats().batches, observer.stats().continued, observer.stats().unknown), (4, 3, 0));
}

#[test]
fn clients_behind_one_address_are_told_apart() {
    let (mut observer, mut told) = (Observer::new(1), Vec::new());
    let mut tabs = [Tab::default(), Tab::default(), Tab::default()];
    for step in 0..6 {
        for (number, tab) in tabs.iter_mut().enumerate() {
            let (rider, items) = tab.batch(&[], &[&format!("{number}/{step}")], &[]);
            observer.observe(0, CLIENT, &rider, &items, &mut told);
        }
    }
    let mut found = all_due(&mut observer);
    found.sort();
    let expected = [0, 1, 2].map(|tab| (0, (0..6).map(|step| format!("{tab}/{step}")).collect::<Vec<_>>().join(" ")));
    assert_eq!(found, expected);
}

#[test]
fn a_batch_that_was_lost_ends_the_path_and_no_key_is_mistaken() {
    let (mut observer, mut tab, mut told) = (Observer::new(1), Tab::default(), Vec::new());
    let mut see = |observer: &mut Observer, (rider, items): (Rider, Vec<BatchItem>)| {
        observer.observe(0, CLIENT, &rider, &items, &mut told);
    };
    see(&mut observer, tab.batch(&[], &["a"], &["b"]));
    let _lost = tab.batch(&["b"], &["c"], &["d"]);
    see(&mut observer, tab.batch(&["d", "c"], &["e"], &[]));
    see(&mut observer, tab.batch(&["d", "e", "a"], &["f"], &[]));
    see(&mut observer, tab.batch(&["e", "f"], &["g"], &[]));
    // `d`, `c` and `a` are not known behind the gap, and nothing is put in their place.
    assert_eq!(all_due(&mut observer), [(0, "f (e) (f) g".to_owned())]);
    assert_eq!((observer.stats().continued, observer.stats().unknown), (2, 4));
}

#[test]
fn memory_is_bounded_and_who_leaves_is_told_of() {
    let (mut observer, mut told) = (Observer::new(1), Vec::new());
    let clients = 3 * Observer::MAX_CLIENTS as u64;
    for client in 0..clients {
        let mut tab = Tab::default();
        let (rider, items) = tab.batch(&[], &["a", "b"], &[]);
        observer.observe(0, ClientId(client), &rider, &items, &mut told);
    }
    let long = "x".repeat(900);
    for client in 0..2_000 {
        let texts: Vec<String> = (0..60).map(|at| format!("{at}/{long}")).collect();
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (rider, items) = Tab::default().batch(&[], &all, &[]);
        observer.observe(0, ClientId(clients + client), &rider, &items, &mut told);
        let stats = observer.stats();
        assert!(stats.clients <= stats.max_clients && stats.bytes <= stats.max_bytes);
    }
    observer.due(Millis::MAX, &mut told);
    assert_eq!(told.len() as u64, clients + 2_000);
    assert!(told.iter().all(|told| told.summary.len() <= Summary::MAX_BYTES));
}

#[test]
fn many_requests_are_told_of_at_once() {
    let (mut observer, mut tab, mut told) = (Observer::new(1), Tab::default(), Vec::new());
    for step in 0..200 {
        let (rider, items) = tab.batch(&[], &[&format!("k/{step}")], &[]);
        observer.observe(0, CLIENT, &rider, &items, &mut told);
    }
    let steps: usize = paths(&told).iter().map(|(told, path)| path.split(' ').count() - usize::from(*told)).sum();
    assert!((150..=200).contains(&steps), "{steps}");
    assert!(paths(&told).iter().skip(1).all(|(told, _)| *told == 2));
}
