//! [`Meta`] as a JSON value.
//!
//! Natively it is that value in the JSON wire form. Inside wasm there is no JSON
//! parser (the host has its own), so it crosses to JavaScript as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Meta;

#[cfg(not(target_arch = "wasm32"))]
impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = serde_json::value::RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through `Value`, as `RawValue` cannot be read behind `serde(flatten)`.
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.to_string().into()))
    }
}

#[cfg(target_arch = "wasm32")]
impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(target_arch = "wasm32")]
impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<str>::deserialize(deserializer)?))
    }
}
