use axum::http::HeaderValue;

use super::*;
use crate::host::SUBJECT;

fn of(address: &str) -> ClientId {
    ClientId::of_address(address.parse().expect("an address"))
}

#[test]
fn a_subject_is_a_client_whatever_its_address_and_only_an_operator_speaks_for_others() {
    let scope = |sub, verbs: &[Verb]| TokenScope::new(sub, verbs.to_vec(), vec![foremap::key::KeyPrefix::all()], 0);
    let none = HeaderMap::new();
    let named = HeaderMap::from_iter([(SUBJECT, HeaderValue::from_static("0f"))]);
    let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().ok());
    let ann = scope(Some("ann"), &[Verb::Get]);
    assert_eq!(client(&ann, &none, here), client(&ann, &named, there));
    assert_ne!(client(&ann, &none, here), client(&scope(Some("bob"), &[Verb::Get]), &none, here));
    let nobody = scope(None, &[Verb::Get]);
    assert_eq!(client(&nobody, &named, here), of("192.0.2.1"));
    assert_ne!(client(&nobody, &none, here), client(&nobody, &none, there));
    // Without tokens everything is allowed, but not to speak for others.
    assert_eq!(client(&TokenScope::all(), &named, here), of("192.0.2.1"));
    let operator = scope(None, &[Verb::Get, Verb::Admin]);
    assert_eq!(client(&operator, &named, here), client(&operator, &named, there));
    assert_eq!(client(&operator, &none, here), of("192.0.2.1"));
}
