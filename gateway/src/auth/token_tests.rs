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
    let scope = key(1).verify(&token, &[]).expect("genuine");
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
    let refused = |token: &str| key(1).verify(token, &[]).map(|_| ()).map_err(|p| p.code);
    let token = key(2).sign(&[Verb::Get], &[KeyPrefix::all()], 60).expect("signed");
    assert_eq!(refused(&token), Err(ErrorCode::Unauthenticated));
    let past = Claims { exp: 1_000, aud: None, sub: None, verbs: vec!["get".into()], prefixes: vec![KeyPrefix::all()] };
    let token =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &past, &key(1).current()[0].encoding).expect("signed");
    assert_eq!(refused(&token), Err(ErrorCode::Unauthenticated));
    // `{"alg":"none"}` and claims without a signature.
    assert_eq!(refused("eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9."), Err(ErrorCode::Unauthenticated));
    assert_eq!(refused("not a token"), Err(ErrorCode::Unauthenticated));
}

fn signed(claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key(1).current()[0].encoding).expect("signed")
}

#[test]
fn a_token_is_for_its_audience_and_its_time() {
    let now = get_current_timestamp();
    let names = ["http://a:1".to_owned(), "shop".to_owned()];
    let with = |more: serde_json::Value| {
        let mut claims = serde_json::json!({"exp": now + 60, "verbs": ["get"], "prefixes": [""]});
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        key(1).verify(&signed(&claims), &names).map(|scope| scope.expires_at()).map_err(|problem| problem.code)
    };
    let refused = Err(ErrorCode::Unauthenticated);
    for (more, accepted) in [
        (serde_json::json!({"aud": "shop"}), true),
        (serde_json::json!({"aud": ["elsewhere", "http://a:1"]}), true),
        (serde_json::json!({"aud": "http://a"}), false),
        (serde_json::json!({"aud": []}), false),
        (serde_json::json!({"aud": 7}), false),
        (serde_json::json!({"nbf": now - 1}), true),
        (serde_json::json!({"nbf": now + 3}), true),
        (serde_json::json!({"nbf": now + 60}), false),
        (serde_json::json!({"exp": now as f64 + 60.25}), true),
        (serde_json::json!({"exp": -1}), false),
        (serde_json::json!({"exp": "2030-01-01"}), false),
        (serde_json::json!({"sub": 7}), false),
    ] {
        assert_eq!(with(more.clone()) != refused, accepted, "{more}");
    }
    assert_eq!(with(serde_json::json!({"exp": now as f64 + 60.25})), Ok(Some(now + 61 + LEEWAY_S)));
    let token = key(1).sign_grant(Grant { audience: Some("shop"), verbs: &[Verb::Get], ttl_s: 60, ..Grant::default() });
    let token = token.expect("signed");
    assert!(key(1).verify(&token, &names).is_ok());
    assert_eq!(key(1).verify(&token, &[]).map(|_| ()).map_err(|p| p.code), refused.map(|_: Option<u64>| ()));
}

#[test]
fn what_is_about_all_keys_needs_all_keys() {
    let scope = |verbs: &[Verb], prefixes: &[&str]| {
        TokenScope::new(None, verbs.to_vec(), prefixes.iter().map(|text| prefix(text)).collect(), u64::MAX)
    };
    let wanted = [Verb::Metrics, Verb::Admin];
    assert!(scope(&[Verb::Metrics], &[""]).require_everywhere(&wanted).is_ok());
    assert!(scope(&[Verb::Admin], &["a", ""]).require_everywhere(&wanted).is_ok());
    assert!(scope(&[Verb::Admin], &["a"]).require_everywhere(&wanted).is_err());
    assert!(scope(&[Verb::Get], &[""]).require_everywhere(&wanted).is_err());
    assert!(TokenScope::all().require_everywhere(&wanted).is_ok());
}
