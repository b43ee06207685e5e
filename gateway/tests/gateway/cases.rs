//! The cases of `tests/protocol`, which an edge worker and the SDK are held against too; and that each answer is described.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use foremap::protocol::LIMITS;
use foremap_gateway::auth::TokenKey;
use foremap_gateway::http::HttpOptions;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha512};

use crate::client::Gateway;
use crate::openapi::Description;

const CASES: &str = include_str!("../../../tests/protocol/cases.json");
const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "fedcba9876543210fedcba9876543210";
const OTHER: &str = "neither of the two, and long enough";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    body_repeat: Option<Repeat>,
    /// The client of these tests always says how long a body is.
    #[serde(default, rename = "chunked")]
    _chunked: bool,
    token: Option<Token>,
    status: u16,
    code: Option<String>,
    limit: Option<String>,
    #[serde(default)]
    answer_headers: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct Repeat {
    part: String,
    times: usize,
    end: String,
}

#[derive(Deserialize)]
struct Token {
    claims: Map<String, Value>,
    #[serde(default)]
    fixed: Map<String, Value>,
    secret: Option<String>,
    alg: Option<String>,
}

fn everything() -> Token {
    let claims = json!({"exp": 3_600, "verbs": ["get", "put", "delete", "list", "admin"], "prefixes": [""]});
    serde_json::from_value(json!({ "claims": claims })).expect("a token")
}

/// By hand, as no library signs what is refused.
fn signed(token: &Token) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut claims = token.claims.clone();
    for name in ["exp", "nbf"] {
        if let Some(value) = claims.get_mut(name) {
            // A whole number stays one.
            *value = match value.as_i64() {
                Some(seconds) => (now as i64 + seconds).into(),
                None => (now as f64 + value.as_f64().expect("a number")).into(),
            };
        }
    }
    claims.extend(token.fixed.clone());
    let alg = token.alg.as_deref().unwrap_or("HS256");
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(json!({"alg": alg, "typ": "JWT"})), part(claims.into()));
    let secret = match token.secret.as_deref() {
        Some("second") => SECOND,
        Some(_) => OTHER,
        None => FIRST,
    };
    let signature = match alg {
        "none" => Vec::new(),
        "HS512" => {
            let mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("a key");
            mac.chain_update(&message).finalize().into_bytes().to_vec()
        }
        _ => {
            let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
            mac.chain_update(&message).finalize().into_bytes().to_vec()
        }
    };
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

impl Case {
    fn body(&self) -> Vec<u8> {
        if let Some(bytes) = &self.body_base64 {
            return BASE64_STANDARD.decode(bytes).expect("base64");
        }
        let mut body = self.body.clone().unwrap_or_default();
        if let Some(Repeat { part, times, end }) = &self.body_repeat {
            // The batch of too many keys has commas between them.
            let comma = if part.starts_with('{') { "," } else { "" };
            body += &vec![part.as_str(); *times].join(comma);
            body += end;
        }
        body.into_bytes()
    }

    async fn run(&self, gateway: &Gateway, description: &mut Description) {
        let token = format!("Bearer {}", signed(self.token.as_ref().unwrap_or(&everything())));
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !self.headers.contains_key("authorization") {
            headers.push(("authorization", &token));
        }
        let (method, body) = (self.method.parse::<Method>().expect("a method"), self.body());
        let reply = gateway.client.send(method.clone(), &gateway.url(1, &self.path), &headers, body.clone()).await;
        assert_eq!(reply.status.as_u16(), self.status, "{}: {reply:?}", self.name);
        if let Some(code) = &self.code {
            assert_eq!(reply.code(), code, "{}", self.name);
        }
        if let Some(limit) = &self.limit {
            let limit = LIMITS.iter().find(|(name, _)| name == limit).unwrap_or_else(|| panic!("no limit `{limit}`")).1;
            assert_eq!(reply.problem().limit, Some(limit), "{}", self.name);
        }
        for (name, value) in &self.answer_headers {
            assert_eq!(reply.headers.get(name).map(|_| reply.header(name)), value.as_deref(), "{}: {name}", self.name);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        description.check_answer(&method, path, &reply, &self.name);
        if reply.status.is_success() && !body.is_empty() {
            description.check_body(&method, path, &serde_json::from_slice(&body).expect("JSON"), &self.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_is_answered_as_it_says_and_as_described() {
    let file: File = serde_json::from_str(CASES).expect("cases");
    let options = HttpOptions {
        token_key: Some(TokenKey::new(format!("{FIRST}\n{SECOND}\n").as_bytes()).expect("a key")),
        audiences: vec!["cases".to_owned()],
        cors_origins: vec!["http://localhost:*".to_owned()],
        ..HttpOptions::default()
    };
    let gateway = Gateway::with(1, options).await;
    let token = format!("Bearer {}", signed(&everything()));
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let url = gateway.url(1, "/v1/keymap?key=case/a");
    assert_eq!(
        gateway.client.send(Method::PUT, &url, &headers, r#"{"locator":"a"}"#).await.status,
        StatusCode::CREATED
    );
    let mut description = Description::new();
    for case in &file.cases {
        case.run(&gateway, &mut description).await;
    }
}
