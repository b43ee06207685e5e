use super::*;

fn shape(classes: &mut Classes, key: &str) -> Shape {
    classes.observe(&Parts::new(key.as_bytes()))
}

#[test]
fn instances_are_left_blank() {
    let mut classes = Classes::new();
    let shapes: Vec<Shape> = (100..200)
        .flat_map(|n| [format!("user/{n}/profile"), format!("user/{n}/avatar")])
        .map(|key| shape(&mut classes, &key))
        .collect();
    let (profile, avatar) = (shapes[198], shapes[199]);
    assert_eq!(profile.hash, shapes[2].hash);
    assert_ne!(profile.hash, avatar.hash);
    assert_eq!(
        [0, 1, 2].map(|at| profile.class(at)),
        [ComponentClass::Kind, ComponentClass::Instance, ComponentClass::Kind]
    );
    assert_eq!(classes.shape(&Parts::new(b"user/999/avatar")), avatar);
}

#[test]
fn many_words_are_instances_and_a_few_small_numbers_are_kinds() {
    let mut classes = Classes::new();
    for n in 0..400 {
        shape(&mut classes, &format!("{}/name{}x/{}", n % 5, n * 7 % 300, ["a", "b"][n % 2]));
    }
    let last = classes.shape(&Parts::new(b"3/name1x/a"));
    assert_eq!(
        [0, 1, 2].map(|at| last.class(at)),
        [ComponentClass::Kind, ComponentClass::Instance, ComponentClass::Kind]
    );
    // A date is an instance, however few there are.
    for _ in 0..400 {
        shape(&mut classes, "day/2026-11-22");
    }
    assert_eq!(classes.shape(&Parts::new(b"day/2026-11-22")).class(1), ComponentClass::Instance);
}

#[test]
fn the_table_is_fixed_and_follows_a_change() {
    let mut classes = Classes::new();
    let bytes = classes.bytes();
    for n in 0..20_000 {
        shape(&mut classes, &format!("a{}/{}/{n}", n % 900, n % 7));
    }
    assert_eq!(classes.bytes(), bytes);
    for n in 0..6_000 {
        shape(&mut classes, &format!("z/{}", ["x", "y"][n % 2]));
    }
    assert_eq!(classes.shape(&Parts::new(b"z/x")).class(1), ComponentClass::Kind);
}
