//! Every seed, and every input that ever broke a promise, through its target on an ordinary compiler.
//!
//! `FOREMAP_BLESS=1 cargo test -p foremap-fuzz-targets` writes the seeds anew from the golden vectors.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Once;

use foremap_fuzz_targets::{TARGETS, Target, seeds};

/// The files of `folder` by name, with their content; none where there is no such folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<_> =
        paths.map(|path| (path.display().to_string(), std::fs::read(&path).expect("a readable file"))).collect();
    files.sort();
    files
}

/// Runs `target` and names the file where it fails.
fn accepted(target: Target, name: &str, bytes: &[u8]) -> bool {
    catch_unwind(|| target(bytes)).unwrap_or_else(|_| panic!("broken by {name}"))
}

/// The folder of `tests/fuzz` called `name`; its seeds are written anew first, if that is asked for.
fn folder(name: &str) -> PathBuf {
    static BLESS: Once = Once::new();
    BLESS.call_once(|| {
        if std::env::var_os("FOREMAP_BLESS").is_some_and(|value| value == "1") {
            bless();
        }
    });
    seeds::folder().join(name)
}

fn bless() {
    for (target, inputs) in seeds::all() {
        let folder = seeds::folder().join("seeds").join(target);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("tests/fuzz is writable");
        for (number, bytes) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("{number:02}")), bytes).expect("tests/fuzz is writable");
        }
    }
}

#[test]
fn seeds_reach_both_ends_of_every_target() {
    for &(name, target) in TARGETS {
        let inputs = files(&folder("seeds").join(name));
        let ends: BTreeSet<bool> = inputs.iter().map(|(file, bytes)| accepted(target, file, bytes)).collect();
        assert!(ends.contains(&true), "no seed of {name} is accepted: its assertions are never reached");
        assert!(ends.contains(&false), "no seed of {name} is refused");
    }
}

#[test]
fn seeds_are_those_of_the_golden_vectors() {
    for (target, inputs) in seeds::all() {
        let held = files(&folder("seeds").join(target)).into_iter().map(|(_, bytes)| bytes);
        assert_eq!(held.collect::<Vec<_>>(), inputs, "{target}: write them anew with FOREMAP_BLESS=1");
    }
}

#[test]
fn what_was_found_stays_fixed() {
    for &(name, target) in TARGETS {
        for (file, bytes) in files(&folder("regressions").join(name)) {
            accepted(target, &file, &bytes);
        }
    }
}

#[test]
fn every_target_has_its_binary_and_no_file_is_left_over() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |name: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder(name)).into_iter().flatten();
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        entries.filter_map(|entry| stem(&entry.expect("readable").path())).collect()
    };
    assert_eq!(listed("fuzz_targets"), names);
    assert_eq!(listed("seeds"), names);
    assert!(listed("regressions").is_subset(&names));
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).expect("a manifest");
    let binaries =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""));
    assert_eq!(binaries.map(str::to_owned).collect::<BTreeSet<_>>(), names);
}
