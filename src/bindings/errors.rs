//! Errors as JavaScript sees them: `{code, message}`.

use serde::Serialize;
use wasm_bindgen::JsValue;

use crate::key::KeyError;
use crate::protocol::ErrorCode;

#[derive(Serialize)]
struct Thrown<'a> {
    code: &'a str,
    message: &'a str,
}

/// An object to throw; TypeScript turns it into a `ForemapError`.
pub(super) fn thrown(code: ErrorCode, message: &str) -> JsValue {
    plain(&Thrown { code: code.as_str(), message })
}

pub(super) fn bad_key(error: KeyError) -> JsValue {
    thrown(ErrorCode::BadKey, error.reason())
}

/// A value as plain objects, arrays, strings and numbers. `undefined` where it has no such form, which no type here
/// is without.
pub(super) fn plain<T: Serialize + ?Sized>(value: &T) -> JsValue {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::UNDEFINED)
}
