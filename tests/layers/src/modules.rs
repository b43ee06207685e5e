//! The modules of a crate.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::names::{Names, Segments, is_test};

/// Most `use` declarations that a name may pass: more than any chain of re-exports, and an end to those that go round.
const MAX_STEPS: usize = 32;

struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    names: Names,
}

/// All modules of a crate, by number; the first is the crate's root.
pub(crate) struct Modules(Vec<Module>);

impl Modules {
    /// Reads the module in `root`, and those below it.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut modules = Self(Vec::new());
        let folder = root.parent().unwrap_or(Path::new(""));
        modules.read_file(root, folder, None)?;
        Ok(modules)
    }

    fn read_file(&mut self, file: &Path, folder: &Path, parent: Option<usize>) -> io::Result<usize> {
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let syntax = syn::parse_file(&text).map_err(|error| wrong(&error))?;
        self.add(file, folder, parent, &syntax.items)
    }

    /// Adds a module of these items, whose modules in files of their own are below `folder`.
    fn add(&mut self, file: &Path, folder: &Path, parent: Option<usize>, items: &[syn::Item]) -> io::Result<usize> {
        let number = self.0.len();
        let names = Names::of(items);
        self.0.push(Module { file: file.to_owned(), parent, children: BTreeMap::new(), names });
        for item in items {
            let syn::Item::Mod(module) = item else { continue };
            if is_test(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let child = match (&module.content, path_attribute(&module.attrs)) {
                (Some((_, items)), _) => self.add(file, &folder.join(&name), Some(number), items)?,
                (None, Some(path)) => {
                    let file = file.parent().unwrap_or(Path::new("")).join(path);
                    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
                    self.read_file(&file, &folder, Some(number))?
                }
                (None, None) => {
                    let beside = folder.join(format!("{name}.rs"));
                    let inside = folder.join(&name).join("mod.rs");
                    let file = if beside.exists() { beside } else { inside };
                    self.read_file(&file, &folder.join(&name), Some(number))?
                }
            };
            self.0[number].children.insert(name, child);
        }
        Ok(number)
    }

    /// The file that a module is in.
    pub(crate) fn file(&self, module: usize) -> &Path {
        &self.0[module].file
    }

    /// Every path that stands somewhere in a module, with the module's number.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (usize, &Segments)> {
        self.0.iter().enumerate().flat_map(|(number, module)| module.names.paths.iter().map(move |path| (number, path)))
    }

    /// The module that defines the item that `path` leads to from `module`, with the item's name. None for what other
    /// crates define, for local variables, and for a module itself.
    pub(crate) fn resolve<'a>(&'a self, module: usize, path: &'a [String]) -> Option<(usize, &'a str)> {
        self.follow(module, path, &mut HashSet::new())
    }

    fn follow<'a>(
        &'a self,
        from: usize,
        path: &'a [String],
        seen: &mut HashSet<(usize, &'a [String])>,
    ) -> Option<(usize, &'a str)> {
        if seen.len() > MAX_STEPS || !seen.insert((from, path)) {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => return self.follow(0, rest, seen),
            "self" => return self.follow(from, rest, seen),
            "super" => return self.follow(self.0[from].parent?, rest, seen),
            _ => {}
        }
        let module = &self.0[from];
        if module.names.items.contains(first) {
            return Some((from, first));
        }
        if let Some(&child) = module.children.get(first) {
            return self.follow(child, rest, seen);
        }
        if let Some(target) = module.names.aliases.get(first) {
            // What a `use` declaration names may be a module, of which the rest of the path goes on.
            return match self.module(from, target) {
                Some(child) => self.follow(child, rest, seen),
                None => self.follow(from, target, seen),
            };
        }
        // Of `use Enum::*` there is no module: the declaration itself is the import.
        module.names.globs.iter().find_map(|glob| self.follow(self.module(from, glob)?, path, seen))
    }

    /// The module that `path` names from `module`.
    fn module(&self, mut from: usize, path: &[String]) -> Option<usize> {
        for name in path {
            from = match name.as_str() {
                "crate" => 0,
                "self" => from,
                "super" => self.0[from].parent?,
                _ => match self.0[from].children.get(name) {
                    Some(&child) => child,
                    // `use name::Other as name` would lead to itself.
                    None => {
                        self.module(from, self.0[from].names.aliases.get(name).filter(|target| target[0] != *name)?)?
                    }
                },
            };
        }
        Some(from)
    }
}

/// The file that `#[path = "..."]` names.
fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}
