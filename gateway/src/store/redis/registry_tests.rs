use foremap::control::MemberState;

use super::*;

#[test]
fn a_registration_is_read_back_or_refused() {
    let member = Member {
        id: 3,
        incarnation: u64::MAX,
        origin: "http://a:1".into(),
        weight: 2,
        state: MemberState::Leaving,
        warm_for: 9,
    };
    let mut bytes = 55_u64.to_be_bytes().to_vec();
    bytes.extend(member.incarnation.to_be_bytes());
    bytes.extend(10_u16.to_be_bytes());
    bytes.extend(member.origin.as_bytes());
    bytes.extend(member.encode());
    let (expires, encoded) = registered(&bytes).expect("valid");
    assert_eq!((expires, Member::decode(encoded)), (55, Ok(member)));
    // The head alone is checked here; what follows it is checked by its seal and its form.
    for length in 0..28 {
        assert!(matches!(registered(&bytes[..length]), Err(StoreError::Corrupt(_))), "{length} bytes");
    }
}

#[test]
fn any_time_to_live_can_be_added_to_the_time() {
    assert_eq!(micros(Duration::from_millis(2)), 2_000);
    assert!(micros(Duration::MAX) + 2_000_000_000_000_000 < 1 << 53);
}
