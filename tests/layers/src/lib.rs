//! Files of a crate, the names that each takes from the others, and the circles among them.
//!
//! A file imports the file that *defines* a name, through however many `use` declarations the name came: a `mod.rs` that
//! hands names on is no stop on the way. Declaring a module is no import. Code below `#[cfg(test)]` is not read.

mod modules;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use self::modules::Modules;

/// Imports of a crate: of each pair of files, the names that the first takes from the second.
#[derive(Debug, Default)]
pub struct Imports {
    names: BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>,
}

impl Imports {
    /// Reads the crate whose first file is `root`, with all modules that it declares.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no Rust.
    pub fn read(root: &Path) -> io::Result<Self> {
        let modules = Modules::read(root)?;
        let mut imports = Self::default();
        for (user, path) in modules.paths() {
            let Some((definer, name)) = modules.resolve(user, path) else { continue };
            let (from, to) = (modules.file(user), modules.file(definer));
            if from != to {
                imports.names.entry((from.to_owned(), to.to_owned())).or_default().insert(name.to_owned());
            }
        }
        Ok(imports)
    }

    /// Files that import each other, each circle with its imports, one a line.
    #[must_use]
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            self.names.keys().map(|(from, _)| (&**from, self.reach(from))).collect();
        let reaches = |from: &Path, to: &Path| reached.get(from).is_some_and(|files| files.contains(to));
        let with = |file: &Path| {
            reached.keys().copied().filter(|other| reaches(file, other) && reaches(other, file)).collect()
        };
        let circles: BTreeSet<Vec<&Path>> = reached.keys().map(|file| with(file)).collect();
        circles.into_iter().filter(|files| files.len() > 1).map(|files| self.within(&files)).collect()
    }

    /// The files that `file` imports, and those that these import, and so on.
    fn reach<'a>(&'a self, file: &'a Path) -> BTreeSet<&'a Path> {
        let mut reached = BTreeSet::new();
        let mut left = vec![file];
        while let Some(file) = left.pop() {
            let imported = self.names.keys().filter(|(from, _)| from == file).map(|(_, to)| &**to);
            left.extend(imported.filter(|to| reached.insert(*to)));
        }
        reached
    }

    fn within(&self, files: &[&Path]) -> Vec<String> {
        let inside = |file: &Path| files.contains(&file);
        let imports = self.names.iter().filter(|((from, to), _)| inside(from) && inside(to));
        imports
            .map(|((from, to), names)| {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                format!("{} -> {}: {}", from.display(), to.display(), names.join(", "))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Circles of a crate of these files.
    fn circles(files: &[(&str, &str)]) -> io::Result<Vec<Vec<String>>> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
            fs::write(file, text)?;
        }
        let circles = Imports::read(&folder.path().join("lib.rs"))?.circles();
        let prefix = format!("{}/", folder.path().display());
        Ok(circles.into_iter().map(|lines| lines.iter().map(|line| line.replace(&prefix, "")).collect()).collect())
    }

    #[test]
    fn a_name_comes_from_the_file_that_defines_it_however_it_came() -> io::Result<()> {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; pub use a::Apple;"),
            ("a.rs", "use crate::b::*; pub struct Apple(Bean);"),
            ("b/mod.rs", "mod bean; pub use self::bean::{self as beans, Bean};"),
            ("b/bean.rs", "pub struct Bean; pub fn eat() { println!(\"{:?}\", crate::Apple::new(1)) }"),
        ])?;
        assert_eq!(found, [["a.rs -> b/bean.rs: Bean", "b/bean.rs -> a.rs: Apple"]]);
        Ok(())
    }

    #[test]
    fn declarations_of_modules_and_code_of_tests_are_no_imports() -> io::Result<()> {
        let found = circles(&[
            ("lib.rs", "mod a; #[cfg(test)] mod a_tests; pub const LIMIT: u8 = 3; pub fn b() -> u8 { a::c() }"),
            ("a.rs", "pub fn c() -> u8 { 1 } #[cfg(test)] mod tests { use crate::LIMIT; }"),
        ])?;
        assert!(found.is_empty(), "{found:?}");
        Ok(())
    }

    #[test]
    fn names_of_other_crates_and_modules_that_name_themselves_end() -> io::Result<()> {
        let found = circles(&[
            ("lib.rs", "mod serde; mod b; use serde::Value; pub fn f(_: Value, _: b::c::D) {}"),
            ("serde.rs", "pub use serde::Value; use std::fmt::{self, Debug}; fn g(_: fmt::Result) {}"),
            ("b.rs", "pub use self::c::c; pub mod c { pub use super::c::*; pub fn c() {} }"),
        ])?;
        assert!(found.is_empty(), "{found:?}");
        Ok(())
    }
}
