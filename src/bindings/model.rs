//! The model that all clients share, as one of them reads it and adds to it.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::Request;

use super::actions::binary_request;
use super::core::{Core, millis};
use super::errors::thrown;
use crate::protocol::{ErrorCode, is_model_delta};

#[wasm_bindgen]
impl Core {
    /// Takes over a model that was read from a gateway or a hub, whole or as a difference from the one at hand; in the
    /// latter case returns the whole. Without `share` nothing happens.
    ///
    /// # Errors
    /// Throws `{code: "BAD_ANSWER", message}`; then nothing is taken over.
    #[wasm_bindgen(js_name = importModel)]
    pub fn import_model(&mut self, now: f64, model: &[u8]) -> Result<Option<Uint8Array>, JsValue> {
        let taken = self.adapter.import_model(millis(now), model);
        let whole = taken.map_err(|error| thrown(ErrorCode::BadAnswer, &error.to_string()))?;
        Ok(is_model_delta(model).then(|| Uint8Array::from(whole)))
    }

    /// A summary of the requests since it last told, in at most so many bytes, as a request to a gateway; `undefined` where there
    /// is nothing to tell, or nothing that may be told.
    ///
    /// # Errors
    /// Throws `{code: "CONFIG", message}` where an origin makes no URL.
    #[wasm_bindgen(js_name = tellGateway)]
    pub fn tell_gateway(&mut self, now: f64, max_bytes: usize) -> Result<Option<Request>, JsValue> {
        let Some((origin, body)) = self.adapter.poll_addressed_summary(millis(now), max_bytes) else { return Ok(None) };
        binary_request(&origin, "/v1/summaries", &body, self.token.as_deref()).map(Some)
    }
}
