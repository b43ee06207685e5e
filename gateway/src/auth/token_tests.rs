use super::*;

fn key(byte: u8) -> TokenKey {
    TokenKey::new(&[byte; 32]).expect("long enough")
}

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).expect("valid")
}

#[test]
fn a_token_allows_its_verbs_below_its_prefixes_only() {
    let token = key(1).sign(&[Verb::Get, Verb::List], &[prefix("user/1")], 60).expect("signed");
    let scope = key(1).verify(&token).expect("genuine");
    let k = |text: &str| foremap::key::CompositeKey::parse(text).expect("valid");
    assert!(scope.require_key(Verb::Get, &k("user/1/a")).is_ok());
    // The same key in another spelling; and a neighbour that shares bytes, not components.
    assert!(scope.require_key(Verb::Get, &k("%75ser/1/a")).is_ok());
    assert_eq!(scope.require_key(Verb::Get, &k("user/10/a")).map_err(|p| p.code), Err(ErrorCode::Forbidden));
    assert_eq!(scope.require_key(Verb::Put, &k("user/1/a")).map_err(|p| p.code), Err(ErrorCode::Forbidden));
    assert!(scope.require_prefix(Verb::List, &prefix("user/1/b")).is_ok());
    assert_eq!(scope.require_prefix(Verb::List, &prefix("user")).map_err(|p| p.code), Err(ErrorCode::Forbidden));
}

#[test]
fn forged_expired_and_unsigned_tokens_are_refused() {
    let refused = |token: &str| key(1).verify(token).map(|_| ()).map_err(|p| p.code);
    let token = key(2).sign(&[Verb::Get], &[KeyPrefix::all()], 60).expect("signed");
    assert_eq!(refused(&token), Err(ErrorCode::Unauthenticated));
    let past = Claims { exp: 1_000, sub: None, verbs: vec!["get".into()], prefixes: vec![KeyPrefix::all()] };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &past, &key(1).encoding).expect("signed");
    assert_eq!(refused(&token), Err(ErrorCode::Unauthenticated));
    // `{"alg":"none"}` and claims without a signature.
    assert_eq!(refused("eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9."), Err(ErrorCode::Unauthenticated));
    assert_eq!(refused("not a token"), Err(ErrorCode::Unauthenticated));
}

#[test]
fn a_short_key_is_refused() {
    assert!(matches!(TokenKey::new(&[0; 31]), Err(KeyError::Short)));
}
