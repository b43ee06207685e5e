//! The model that clients share, as one of them reads it and adds to it.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::core::Core;
use super::errors::thrown;
use super::fields::Fields;
use crate::adapter::Share;
use crate::protocol::ErrorCode;

#[wasm_bindgen]
impl Core {
    /// Takes over a model that was read from a gateway or a hub; without `share` nothing happens.
    ///
    /// # Errors
    /// Throws `{code: "BAD_ANSWER", message}`; then nothing is taken over.
    #[wasm_bindgen(js_name = importModel)]
    pub fn import_model(&mut self, model: &[u8]) -> Result<(), JsValue> {
        self.adapter.import_model(model).map_err(|error| thrown(ErrorCode::BadAnswer, &error.to_string()))
    }

    /// What to tell of the requests since it last told, in at most so many bytes; `undefined` where there is nothing to tell,
    /// or nothing that may be told.
    pub fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        self.adapter.tell(max_bytes)
    }
}

/// The option `share`: `"off"`, `"read"` or `"both"`.
pub(super) fn read_share(options: &Fields) -> Result<Option<Share>, JsValue> {
    match options.text("share")?.as_deref() {
        None => Ok(None),
        Some("off") => Ok(Some(Share::Off)),
        Some("read") => Ok(Some(Share::Read)),
        Some("both") => Ok(Some(Share::Both)),
        Some(_) => Err(thrown(ErrorCode::Config, "`share` is `off`, `read` or `both`")),
    }
}
