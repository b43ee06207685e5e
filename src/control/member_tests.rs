use super::*;

fn member() -> Member {
    let (state, origin) = (MemberState::Leaving, "http://node-7:7400".to_owned());
    Member { id: 7, incarnation: u64::MAX, origin, weight: 3, state, warm_for: 5 }
}

#[test]
fn a_member_survives_its_binary_form() {
    for state in [MemberState::Serving, MemberState::Leaving] {
        let member = Member { state, ..member() };
        assert_eq!(Member::decode(&member.encode()), Ok(member));
    }
}

#[test]
fn damaged_members_are_refused() {
    let bytes = member().encode();
    for end in 0..bytes.len() {
        assert!(Member::decode(&bytes[..end]).is_err());
    }
    assert_eq!(Member::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing));
    for origin in [String::new(), "x".repeat(301)] {
        let bytes = Member { origin, ..member() }.encode();
        assert_eq!(Member::decode(&bytes), Err(DecodeError::BadValue("origin")));
    }
}
