use super::*;

fn take_all(shares: &mut Shares, subject: Subject) -> usize {
    std::iter::from_fn(|| shares.enter(subject).ok()).count()
}

#[test]
fn a_subject_alone_gets_a_quarter_and_those_who_come_later_find_places() {
    let mut shares = Shares::new(1_000);
    assert_eq!(take_all(&mut shares, Subject(1)), 250);
    assert_eq!(shares.enter(Subject(1)), Err(250));
    let others: Vec<usize> = (2..25).map(|n| take_all(&mut shares, Subject(n))).collect();
    assert!(others.windows(2).all(|pair| pair[0] >= pair[1]) && others[0] >= 187, "{others:?}");
    assert!(others.iter().all(|&count| count >= 1), "{others:?}");
}

#[test]
fn where_nobody_is_told_apart_all_places_can_be_taken() {
    let mut shares = Shares::new(10);
    assert_eq!(take_all(&mut shares, Subject::default()), 10);
    assert_eq!((shares.enter(Subject::default()), shares.enter(Subject(7))), (Err(10), Err(10)));
    shares.leave(Subject::default());
    assert_eq!(shares.enter(Subject(7)), Ok(()), "one is enough for who has none");
    shares.leave(Subject(7));
    assert_eq!((shares.taken(), shares.held.len()), (9, 0));
}

#[test]
fn an_address_is_one_subject_however_it_is_written_and_of_ipv6_its_network() {
    let of = |text: &str| Subject::of_address(text.parse().expect("an address"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
    let others = ["192.0.2.1", "192.0.2.2", "0.0.0.0", "::", "2001:db8:1:2::3", "2001:db8:1:3::3"].map(of);
    assert!(others.iter().enumerate().all(|(at, one)| !others[..at].contains(one) && *one != Subject::default()));
}
