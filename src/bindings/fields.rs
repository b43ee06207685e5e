//! Reading plain objects field by field.
//!
//! Deserialising would bring in a visitor per type and the formatting of every value that could be wrong: 30 kB of
//! the module for some twenty numbers and texts.

use js_sys::Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::errors::thrown;
use crate::protocol::{ErrorCode, MAX_VERSION};

#[wasm_bindgen]
extern "C" {
    type Indexed;

    #[wasm_bindgen(method, catch, structural, indexing_getter)]
    fn get(this: &Indexed, name: &str) -> Result<JsValue, JsValue>;
}

/// A plain object. A field that is `undefined` or `null` counts as left out; one of another type than asked for throws
/// `{code, message}` with the code given.
pub(super) struct Fields {
    object: Indexed,
    code: ErrorCode,
}

impl Fields {
    pub(super) fn of(object: JsValue, code: ErrorCode) -> Result<Self, JsValue> {
        if !object.is_object() {
            return Err(thrown(code, "expected an object"));
        }
        Ok(Self { object: object.unchecked_into(), code })
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, JsValue> {
        self.read(name, "an object", |value| value.is_object().then(|| value.clone().unchecked_into()))
            .map(|object| object.map(|object| Self { object, code: self.code }))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, JsValue> {
        self.read(name, "text", JsValue::as_string)
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, JsValue> {
        self.read(name, "an array of texts", |value| {
            let array: &Array = value.dyn_ref()?;
            array.iter().map(|text| text.as_string()).collect()
        })
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, JsValue> {
        self.read(name, "a boolean", JsValue::as_bool)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, JsValue> {
        self.read(name, "a number", JsValue::as_f64)
    }

    /// A whole number that fits `T` and is exact.
    pub(super) fn whole<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, JsValue> {
        match self.exact(name)? {
            None => Ok(None),
            Some(value) => T::try_from(value).map(Some).map_err(|_| self.refused(name, "a smaller number")),
        }
    }

    fn exact(&self, name: &str) -> Result<Option<u64>, JsValue> {
        self.read(name, "a whole number", |value| {
            let number = value.as_f64()?;
            (number.trunc() == number && (0.0..=MAX_VERSION as f64).contains(&number)).then_some(number as u64)
        })
    }

    pub(super) fn missing(&self, name: &str) -> JsValue {
        thrown(self.code, &format!("`{name}` is missing"))
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        convert: impl FnOnce(&JsValue) -> Option<T>,
    ) -> Result<Option<T>, JsValue> {
        let value = self.object.get(name)?;
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        convert(&value).map(Some).ok_or_else(|| self.refused(name, expected))
    }

    fn refused(&self, name: &str, expected: &str) -> JsValue {
        thrown(self.code, &format!("`{name}` must be {expected}"))
    }
}
