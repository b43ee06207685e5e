use super::*;

fn packed(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    pack(text.as_bytes(), &mut out).then_some(out)
}

#[test]
fn two_digits_take_one_byte() {
    assert_eq!(packed("1234567890"), Some(vec![0x80 + 12, 0x80 + 34, 0x80 + 56, 0x80 + 78, 0x80 + 90]));
    assert_eq!(packed("v/00123/x"), Some(vec![b'v', b'/', 0x80, 0x80 + 12, b'3', b'/', b'x']));
    assert_eq!(packed("user/7/a1b2"), None, "not shorter");
    assert_eq!(packed("12\u{e9}34"), None, "not ASCII");
}

#[test]
fn nothing_else_is_the_short_form() {
    let form = packed("a/1234").expect("shorter");
    for other in ["a/1235", "a/123", "a/12345", "b/1234", ""] {
        assert!(!is_packed(&form, other.as_bytes()), "{other}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks(text in "[0-9a-c/\u{e9}]{0,40}") {
            if let Some(form) = packed(&text) {
                prop_assert!(form.len() < text.len() && is_packed(&form, text.as_bytes()));
                let mut out = Vec::new();
                unpack(&form, &mut out);
                prop_assert_eq!(out, text.as_bytes());
            }
        }
    }
}
