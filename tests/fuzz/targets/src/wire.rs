//! Messages and keymaps, binary and JSON.

use std::fmt::Debug;

use foremap::protocol::{
    BatchRequest, BatchResponse, FeedFrame, FeedReader, Keymap, KeymapFields, ListPage, MAX_PAGE, Problem,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The binary form is unique: what was decoded encodes to the very bytes.
pub(crate) fn assert_only_form(bytes: &[u8], encoded: &[u8]) {
    assert_eq!(encoded, bytes, "a second form of the same value was accepted");
}

/// The value read from `data`. Written and read again it is the same, and its text no longer changes.
pub(crate) fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(again, value);
    assert_eq!(serde_json::to_vec(&again).expect("written once already"), text);
    // Defaults are spelt out and a control character becomes an escape; nothing else grows.
    assert!(text.len() <= 16 * data.len() + 512, "{} bytes became {}", data.len(), text.len());
    Some(value)
}

/// `BatchRequest::decode`, as a gateway reads it.
pub fn batch_request(data: &[u8]) -> bool {
    // Admission looks at every batch before it is decoded.
    let class = BatchRequest::class_of(data);
    let Ok(request) = BatchRequest::decode(data) else { return false };
    assert_eq!(class, Ok(request.class()));
    assert_only_form(data, &request.encode());
    assert_eq!(request.validate(), Ok(()), "what decodes is within the limits");
    let in_json = json(&serde_json::to_vec(&request).expect("JSON"));
    assert_eq!(in_json, Some(BatchRequest { rider: None, model: None, ..request }), "all but what is binary only");
    true
}

/// A batch in JSON, as a gateway reads it.
pub fn batch_request_json(data: &[u8]) -> bool {
    let Some(request) = json::<BatchRequest>(data) else { return false };
    let valid = request.validate().is_ok();
    let decoded = BatchRequest::decode(&request.encode());
    assert_eq!(decoded.is_ok(), valid, "both forms have the same limits");
    if let Ok(decoded) = decoded {
        assert_eq!(decoded, request);
    }
    valid
}

/// `BatchResponse::decode`, as a client reads it.
pub fn batch_response(data: &[u8]) -> bool {
    let Ok(response) = BatchResponse::decode(data) else { return false };
    // Not always the same bytes: an unknown error code is read as another one.
    let encoded = response.encode();
    assert!(encoded.len() <= data.len());
    assert_eq!(BatchResponse::decode(&encoded).as_ref(), Ok(&response));
    true
}

/// A feed, as a client reads it: in pieces of a size that the first byte tells, or at once, it says the same.
pub fn feed_reader(data: &[u8]) -> bool {
    let Some((&size, bytes)) = data.split_first() else { return false };
    let mut whole = FeedReader::default();
    let at_once = whole.push(bytes);
    let mut reader = FeedReader::default();
    let mut frames = Vec::new();
    for piece in bytes.chunks(usize::from(size).max(1)) {
        let Ok(more) = reader.push(piece) else {
            assert!(at_once.is_err(), "in pieces it is no feed");
            return false;
        };
        assert!(reader.buffered() <= FeedFrame::MAX_BYTES + 10);
        frames.extend(more);
    }
    assert_eq!(at_once.as_ref(), Ok(&frames));
    // What is whole is the only form of what it says.
    let mut again: Vec<u8> = FeedFrame::PREAMBLE.to_vec();
    frames.iter().for_each(|frame| again.extend(frame.encode()));
    let length = bytes.len() - reader.buffered();
    assert_only_form(&bytes[..length], &again[..again.len().min(length)]);
    !frames.is_empty()
}

/// `ListPage::decode`, as a client reads it.
pub fn list_page(data: &[u8]) -> bool {
    let Ok(page) = ListPage::decode(data) else { return false };
    assert_only_form(data, &page.encode());
    assert!(page.items.len() <= MAX_PAGE);
    true
}

/// An answer in JSON, as a client without wasm reads it.
pub fn batch_response_json(data: &[u8]) -> bool {
    let Some(response) = json::<BatchResponse>(data) else { return false };
    if let Ok(decoded) = BatchResponse::decode(&response.encode()) {
        assert_eq!(decoded, response);
    }
    true
}

/// `Keymap::decode`, as clients and stores read it.
pub fn keymap(data: &[u8]) -> bool {
    let Ok(keymap) = Keymap::decode(data) else { return false };
    assert_only_form(data, &keymap.encode());
    // Itself, its tags, and no more text than there were bytes.
    assert!(keymap.weight() <= 128 + 24 * KeymapFields::MAX_TAGS + data.len());
    true
}

/// A keymap in JSON, as a client reads it.
pub fn keymap_json(data: &[u8]) -> bool {
    let Some(keymap) = json::<Keymap>(data) else { return false };
    if keymap.fields.validate().is_ok() && keymap.version <= foremap::protocol::MAX_VERSION {
        assert_eq!(Keymap::decode(&keymap.encode()), Ok(keymap), "what is within the limits can be stored");
    }
    true
}

/// The body of a write: what is within the limits can be stored and read back.
pub fn keymap_fields_json(data: &[u8]) -> bool {
    let Some(fields) = json::<KeymapFields>(data) else { return false };
    if fields.validate().is_err() {
        return false;
    }
    let key = foremap::key::CompositeKey::parse("a/b").expect("valid");
    let keymap = Keymap { key, version: 1, fields };
    let stored = keymap.encode();
    let most = KeymapFields::MAX_LOCATOR
        + KeymapFields::MAX_ETAG
        + KeymapFields::MAX_TAGS * (KeymapFields::MAX_TAG + 2)
        + KeymapFields::MAX_META;
    assert!(stored.len() <= most + 64, "{} bytes", stored.len());
    assert_eq!(Keymap::decode(&stored).as_ref(), Ok(&keymap));
    assert_eq!(json(&serde_json::to_vec(&keymap).expect("JSON")), Some(keymap));
    true
}

/// Problem details, as a client reads them.
pub fn problem_json(data: &[u8]) -> bool {
    json::<Problem>(data).is_some()
}
