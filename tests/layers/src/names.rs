//! The names that stand in one module.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A chain of names, `["crate", "key", "Portion"]`.
pub(crate) type Segments = Vec<String>;

/// Names that a module defines, brings into scope, and mentions.
#[derive(Default)]
pub(crate) struct Names {
    /// Names of the items that it defines, modules apart.
    pub(crate) items: BTreeSet<String>,
    /// Paths that `use` declarations name, by the name that stands for each here.
    pub(crate) aliases: BTreeMap<String, Segments>,
    /// Paths that `use` declarations bring everything of.
    pub(crate) globs: Vec<Segments>,
    /// Every path in its code, those of `use` declarations with it.
    pub(crate) paths: BTreeSet<Segments>,
}

impl Names {
    /// Reads the items of a module, but neither modules in it nor what is there in tests only.
    pub(crate) fn of(items: &[syn::Item]) -> Self {
        let mut names = Self::default();
        for item in items {
            names.visit_item(item);
            if let Some(name) = defined(item) {
                names.items.insert(name);
            }
        }
        names
    }

    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
            syn::UseTree::Glob(_) => {
                self.paths.insert(before.to_vec());
                self.globs.push(before.to_vec());
            }
            syn::UseTree::Name(name) => self.bring(&name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(rename) => self.bring(&rename.rename.to_string(), with(&rename.ident)),
        }
    }

    /// `use key::{self, Portion}` brings the module under its own name.
    fn bring(&mut self, name: &str, mut path: Segments) {
        let mut name = name.to_owned();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
            if name == "self" {
                name = path.last().cloned().unwrap_or_default();
            }
        }
        self.paths.insert(path.clone());
        // `use other_crate;` would lead to itself for ever.
        if path.len() > 1 {
            self.aliases.insert(name, path);
        }
    }

    /// Paths within the arguments of a macro, which are only words until it is expanded.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.end(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Segments) {
        if !path.is_empty() {
            self.paths.insert(std::mem::take(path));
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            // A module of its own.
            syn::Item::Mod(_) => {}
            syn::Item::Use(declaration) if !is_test(&declaration.attrs) => self.use_tree(&[], &declaration.tree),
            syn::Item::Use(_) => {}
            syn::Item::Fn(function) if is_test(&function.attrs) => {}
            syn::Item::Impl(block) if is_test(&block.attrs) => {}
            syn::Item::Struct(item) if is_test(&item.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Tells whether something is there in tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}
