//! Bearer tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use foremap::key::CompositeKey;
use foremap_gateway::auth::{Claims, TokenKey, Verb};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

pub(crate) const SECRET: &[u8] = b"a secret of the fuzz targets: thirty-two bytes at least";

/// Header, payload and signature of a token: as given they are refused; signed with the key, the claims decide.
///
/// The input is the header, a line feed, and the payload, both as JSON text.
pub fn token(data: &[u8]) -> bool {
    let key = TokenKey::new(SECRET).expect("long enough");
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(key.verify(text, &[]).is_err(), "a token that nobody signed");
    }
    let cut = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (header, payload) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let signed = sign(header, payload);
    let Some((message, signature)) = signed.rsplit_once('.') else { unreachable!("a token has two dots") };
    // One letter of the signature replaced: not the last, whose low bits carry nothing.
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    assert!(key.verify(&format!("{message}.{flipped}{}", &signature[1..]), &[]).is_err());
    assert!(key.verify(&format!("{message}."), &[]).is_err());
    let Ok(scope) = key.verify(&signed, &[]) else { return false };
    let header: serde_json::Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    assert_eq!(header["alg"], "HS256");
    let claims: Claims = serde_json::from_slice(payload).expect("accepted claims are claims");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(claims.exp.saturating_add(5) >= now && scope.expires_at().is_some_and(|at| at >= claims.exp));
    for verb in Verb::ALL {
        assert_eq!(scope.require(verb).is_ok(), claims.verbs.iter().any(|name| name == verb.name()));
    }
    for text in ["a", "user/1", "user/10"] {
        let key = CompositeKey::parse(text).expect("valid");
        assert_eq!(scope.covers(&key), claims.prefixes.iter().any(|prefix| prefix.covers(&key)));
    }
    true
}

pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any length");
    let signature = mac.chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", encode(&signature))
}
