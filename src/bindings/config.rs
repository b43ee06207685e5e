//! Options of the core.

use wasm_bindgen::JsValue;

use super::errors::thrown;
use crate::adapter::AdapterConfig;
use crate::protocol::ErrorCode;

/// The adapter's options, and the token for the gateways (`token`, beside them).
pub(super) fn read(options: JsValue) -> Result<(AdapterConfig, Option<String>), JsValue> {
    let token = js_sys::Reflect::get(&options, &JsValue::from_str("token"))?.as_string();
    let config =
        serde_wasm_bindgen::from_value(options).map_err(|error| thrown(ErrorCode::Config, &error.to_string()))?;
    Ok((config, token))
}
