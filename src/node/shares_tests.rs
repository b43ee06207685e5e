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
