use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Commands that touch no key.
const WITHOUT_KEY: [&str; 1] = ["TIME"];

/// The text of the library without comments.
fn code(library: &str) -> String {
    library.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Name, parameters and body of each function.
fn functions(code: &str) -> Vec<(String, Vec<String>, String)> {
    let mut found = Vec::new();
    for part in code.split("local function ").skip(1) {
        let (name, rest) = part.split_once('(').expect("parameters");
        let (parameters, body) = rest.split_once(')').expect("parameters");
        let body = body.split("\nend").next().expect("a body");
        found.push((name.to_owned(), parameters.split(", ").map(str::to_owned).collect(), body.to_owned()));
    }
    found
}

/// Calls of `name`, with the arguments as they are written: `redis.call` by its command, a function by its name.
fn calls<'a>(body: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let opening = format!("{name}(");
    let starts = body.match_indices(opening.as_str());
    let own = starts.filter(|(at, _)| !body[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    own.map(|(at, _)| {
        let rest = &body[at + opening.len()..];
        let end = rest.find(')').expect("an end");
        rest[..end].split(", ").collect()
    })
    .collect()
}

/// Names in `body` that stand for a declared key.
fn names_of_keys(body: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for line in body.lines().filter_map(|line| line.trim().strip_prefix("local ")) {
        let Some((left, right)) = line.split_once(" = ") else { continue };
        let pairs = left.split(", ").zip(right.split(", "));
        names.extend(pairs.filter(|(_, value)| is_declared(value)).map(|(name, _)| name));
    }
    names
}

/// `keys[1]` and the like.
fn is_declared(text: &str) -> bool {
    let index = text.strip_prefix("keys[").and_then(|rest| rest.strip_suffix(']'));
    index.is_some_and(|index| index.parse::<usize>().is_ok())
}

/// Whatever is touched without having been declared.
fn undeclared(library: &str) -> Vec<String> {
    let code = code(library);
    let functions = functions(&code);
    // Helpers that take a key under a name of their own; their callers must hand them one.
    let mut helpers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, parameters, body) in &functions {
        let known = names_of_keys(body);
        for call in calls(body, "redis.call") {
            let command = call[0].trim_matches('\'');
            match call.get(1) {
                None if WITHOUT_KEY.contains(&command) => {}
                Some(key) if is_declared(key) || known.contains(key) => {}
                Some(key) if parameters.len() == 1 && parameters[0] == *key => {
                    helpers.insert(name, key);
                }
                _ => faults.push(format!("{name}: {call:?}")),
            }
        }
    }
    for (name, _, body) in &functions {
        let known = names_of_keys(body);
        for helper in helpers.keys() {
            let handed = calls(body, helper).into_iter().map(|call| call[0]);
            faults.extend(
                handed.filter(|key| !is_declared(key) && !known.contains(key)).map(|key| format!("{name}: {key}")),
            );
        }
    }
    faults
}

#[test]
fn functions_touch_no_key_that_they_do_not_declare() {
    assert_eq!(undeclared(LIBRARY), Vec::<String>::new());
    // It has looked: at each function that is registered, and at each call.
    let code = code(LIBRARY);
    let seen: Vec<String> = functions(&code).into_iter().map(|(name, ..)| name).collect();
    for line in code.lines().filter(|line| line.starts_with("redis.register_function")) {
        let named = line.split_once("callback = ").map(|(_, rest)| rest.split(',').next().expect("a callback"));
        let callback = named.unwrap_or_else(|| line.trim_end_matches(')').rsplit(", ").next().expect("a callback"));
        assert!(seen.iter().any(|name| name == callback), "{line}");
    }
    let bodies: usize = functions(&code).iter().map(|(.., body)| body.matches("redis.call(").count()).sum();
    assert_eq!(bodies, code.matches("redis.call").count());
    assert!(!code.contains("redis.pcall"));
}

#[test]
fn an_undeclared_key_is_found() {
    for body in [
        "redis.call('GET', args[1])",
        "redis.call('GET', keys[1] .. args[1])",
        "local name = args[1]\n  redis.call('GET', name)",
        "redis.call('RANDOMKEY')",
        "helper(args[1])",
    ] {
        let library = format!(
            "local function helper(state)\n  return redis.call('HGET', state, 'last')\nend\n\
             local function f(keys, args)\n  local k = keys[1]\n  redis.call('GET', k)\n  helper(k)\n  {body}\nend\n"
        );
        assert_eq!(undeclared(&library).len(), 1, "{body}: {:?}", undeclared(&library));
    }
}
