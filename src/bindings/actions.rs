//! Actions as plain objects.

use js_sys::{Array, Uint8Array};
use serde::Serialize;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Request, RequestInit};

use super::errors::{plain, thrown};
use crate::adapter::{Action, Adapter, Answer, CallEnd};
use crate::key::CompositeKey;
use crate::protocol::{CONTENT_TYPE, ErrorCode, Keymap, ListPage, ReadPoint};

/// An [`Action`] for `postMessage`-like consumption: `kind` tells which.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum JsAction<'a> {
    Answer {
        request: u32,
        keymap: Option<JsKeymap<'a>>,
        source: &'static str,
        age: u64,
        stale: bool,
        at: ReadPoint,
    },
    Error {
        request: u32,
        code: &'a str,
        message: &'a str,
        retryable: bool,
    },
    Send {
        scope: u32,
        flight: u32,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        request: Request,
        timeout_ms: u32,
        prefetch: bool,
    },
    Attempt {
        scope: u32,
        call: u32,
        flight: u32,
        origin: &'a str,
        timeout_ms: u32,
    },
    CallEnd {
        call: u32,
        ok: bool,
        code: Option<&'a str>,
        retryable: bool,
    },
    Abort {
        flight: u32,
    },
    OpenFeed {
        scope: u32,
        feed: u32,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        request: Request,
    },
    CloseFeed {
        scope: u32,
        feed: u32,
    },
    Relay {
        scope: u32,
        feed: u32,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        frame: JsValue,
    },
    SessionReset {
        incarnation: u32,
    },
    Wake {
        scope: u32,
        at: u64,
    },
}

/// An answer as `peek` gives it; that of a `get` has the same fields in [`JsAction::Answer`].
#[derive(Serialize)]
pub(super) struct JsAnswer<'a> {
    keymap: Option<JsKeymap<'a>>,
    source: &'static str,
    age: u64,
    stale: bool,
    at: ReadPoint,
}

impl<'a> From<&'a Answer> for JsAnswer<'a> {
    fn from(answer: &'a Answer) -> Self {
        Self {
            keymap: answer.keymap.as_deref().map(JsKeymap::from),
            source: answer.served.as_str(),
            age: answer.age_ms,
            stale: answer.stale,
            at: answer.at,
        }
    }
}

/// A keymap in one level: `serde(flatten)` makes a map of texts created anew for each answer out of a struct, whose
/// names are created once.
#[derive(Serialize)]
struct JsKeymap<'a> {
    key: &'a CompositeKey,
    version: u64,
    locator: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a str>,
}

impl<'a> From<&'a Keymap> for JsKeymap<'a> {
    fn from(keymap: &'a Keymap) -> Self {
        let fields = &keymap.fields;
        Self {
            key: &keymap.key,
            version: keymap.version,
            locator: &fields.locator,
            size: fields.size,
            etag: fields.etag.as_deref(),
            tags: &fields.tags,
            meta: fields.meta.as_ref().map(|meta| &*meta.0),
        }
    }
}

/// A page of a list.
#[derive(Serialize)]
pub(super) struct JsPage<'a> {
    keymaps: Vec<JsKeymap<'a>>,
    next: Option<&'a str>,
}

impl<'a> From<&'a ListPage> for JsPage<'a> {
    fn from(page: &'a ListPage) -> Self {
        let keymaps = page.items.iter().map(|(keymap, _)| JsKeymap::from(keymap)).collect();
        Self { keymaps, next: page.next.as_deref() }
    }
}

/// Drains the adapter into an array.
pub(super) fn drain(adapter: &mut Adapter, token: Option<&str>) -> Result<Array, JsValue> {
    let actions = Array::new();
    while let Some(action) = adapter.poll_action() {
        actions.push(&to_js(&action, token)?);
    }
    Ok(actions)
}

fn to_js(action: &Action, token: Option<&str>) -> Result<JsValue, JsValue> {
    Ok(plain(&match action {
        Action::Answer { request, answer } => {
            let JsAnswer { keymap, source, age, stale, at } = answer.into();
            JsAction::Answer { request: *request, keymap, source, age, stale, at }
        }
        Action::Fail { request, code, detail } => {
            JsAction::Error { request: *request, code: code.as_str(), message: detail, retryable: code.retryable() }
        }
        Action::Send { scope, flight, origin, body, timeout_ms, prefetch } => JsAction::Send {
            scope: *scope,
            flight: *flight,
            request: binary_request(origin, "/v1/batch", body, token)?,
            timeout_ms: *timeout_ms,
            prefetch: *prefetch,
        },
        Action::Attempt { scope, call, flight, origin, timeout_ms } => {
            JsAction::Attempt { scope: *scope, call: *call, flight: *flight, origin, timeout_ms: *timeout_ms }
        }
        Action::CallEnd { call, end } => {
            let code = match end {
                CallEnd::Response => None,
                CallEnd::Failed(code) => Some(*code),
            };
            JsAction::CallEnd {
                call: *call,
                ok: code.is_none(),
                code: code.map(ErrorCode::as_str),
                retryable: code.is_some_and(ErrorCode::retryable),
            }
        }
        Action::Abort { flight } => JsAction::Abort { flight: *flight },
        Action::OpenFeed { scope, feed, origin, body } => JsAction::OpenFeed {
            scope: *scope,
            feed: *feed,
            request: binary_request(origin, "/v1/changes", body, token)?,
        },
        Action::CloseFeed { scope, feed } => JsAction::CloseFeed { scope: *scope, feed: *feed },
        Action::Relay { scope, feed, frame } => {
            JsAction::Relay { scope: *scope, feed: *feed, frame: Uint8Array::from(frame.as_slice()).into() }
        }
        Action::SessionReset { incarnation } => JsAction::SessionReset { incarnation: *incarnation },
        Action::Wake { scope, at } => JsAction::Wake { scope: *scope, at: *at },
    }))
}

pub(super) fn binary_request(origin: &str, path: &str, body: &[u8], token: Option<&str>) -> Result<Request, JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", CONTENT_TYPE)?;
    headers.set("accept", CONTENT_TYPE)?;
    if let Some(token) = token {
        headers.set("authorization", &format!("Bearer {token}"))?;
    }
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&Uint8Array::from(body));
    Request::new_with_str_and_init(&format!("{origin}{path}"), &init)
        .map_err(|_| thrown(ErrorCode::Config, &format!("`{origin}` is not an origin")))
}
