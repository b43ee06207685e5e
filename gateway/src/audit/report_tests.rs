use super::{nines, table};

#[test]
fn nines_never_say_more_than_was_measured() {
    for (good, all, expected) in [
        (10, 10, "100 % of 10"),
        (9, 10, "90.0 % of 10"),
        (999, 1_000, "99.90 % of 1000"),
        (9_999, 10_000, "99.990 % of 10000"),
        (99_999, 100_000, "99.9990 % of 100000"),
        (0, 7, "0.0 % of 7"),
        (29_999, 30_001, "99.993 % of 30001"),
    ] {
        assert_eq!(nines(good, all), expected);
    }
}

#[test]
fn a_table_has_columns_of_one_width() {
    let rows = [["worker".to_owned(), "7".to_owned()], ["é".to_owned(), "12345".to_owned()]];
    let expected = "| path   |     n |\n|--------|-------|\n| worker |     7 |\n| é      | 12345 |";
    assert_eq!(table(["path", "n"], &rows, 1), expected);
}
