use std::collections::BTreeSet;

use super::*;

#[test]
fn texts_are_unique_and_are_the_json_form() {
    let texts: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), ErrorCode::ALL.len());
    for &code in ErrorCode::ALL {
        let text = serde_json::to_string(&code).unwrap();
        assert_eq!(text, format!("\"{code}\""));
        assert_eq!(serde_json::from_str::<ErrorCode>(&text).unwrap(), code);
    }
}

#[test]
fn the_wire_number_is_the_place_in_the_list() {
    for (number, &code) in ErrorCode::ALL.iter().enumerate() {
        assert_eq!(code as usize, number, "{code}");
    }
}

#[test]
fn every_status_has_its_title() {
    for &code in ErrorCode::ALL {
        let problem = Problem::new(code, "why");
        assert_eq!(problem.status, code.status());
        let internal = problem.title == "Internal Server Error";
        assert_eq!(internal, matches!(code.status(), 0 | 500), "{code}");
    }
}

#[test]
fn problems_are_problem_details() {
    let problem = Problem::new(ErrorCode::TooManyKeys, "257 keys").with_limit(256);
    let text = serde_json::to_string(&problem).unwrap();
    assert_eq!(
        text,
        r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"TOO_MANY_KEYS","detail":"257 keys","limit":256}"#
    );
    assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    assert!(!serde_json::to_string(&Problem::new(ErrorCode::Internal, "")).unwrap().contains("limit"));
}
