//! What the source offers, read from it: no method can be added without a row in the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use custom_key_store::ConnectionState;
use syn::visit::{self, Visit};
use syn::{
    Attribute, GenericArgument, GenericParam, Generics, ImplItem, ImplItemFn, ItemImpl, ItemMod, ItemStruct,
    ItemType, Macro, PathArguments, Type, TypeParamBound, UseRename, Visibility, WherePredicate,
};

use crate::table::{AWAIT, METHODS, PROPERTIES, Receiver, STATES, TRAITS};

const STORE: &str = "KeyStore";

/// A method, a state that it exists in, and what it does with the store.
type Method = (String, ConnectionState, Receiver);

#[derive(Debug, Default)]
struct Surface {
    methods: BTreeSet<Method>,
    traits: BTreeSet<(String, ConnectionState)>,
    states: BTreeSet<String>,
    changes: BTreeSet<String>,
    live_changes: BTreeSet<String>,
    /// Places where a method could be that this does not see.
    blind_spots: Vec<String>,
    file: PathBuf,
}

impl Surface {
    fn of_source() -> Self {
        let mut surface = Self::default();
        surface.read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src"));
        surface
    }

    fn of(source: &str) -> Self {
        let mut surface = Self::default();
        surface.visit_file(&syn::parse_file(source).unwrap());
        surface
    }

    fn read(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.read(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let file = syn::parse_file(&source).unwrap_or_else(|error| panic!("{path:?}: {error}"));
                self.file = path;
                self.visit_file(&file);
            }
        }
    }

    fn blind_spot(&mut self, what: &str) {
        self.blind_spots.push(format!("{}: {what}", self.file.display()));
    }

    fn impl_of_store(&mut self, item: &ItemImpl, states: &BTreeSet<ConnectionState>) {
        if let Some((_, path, _)) = &item.trait_ {
            let name = last(path);
            if name == "IntoFuture" {
                self.methods.extend(states.iter().map(|state| (AWAIT.into(), *state, Receiver::Taken)));
            }
            self.traits.extend(states.iter().map(|state| (name.clone(), *state)));
            return;
        }
        for method in public_methods(item) {
            let name = method.sig.ident.to_string();
            if method.sig.generics.where_clause.is_some() {
                self.blind_spot(&format!("`{name}` has a where clause, which may tell states apart"));
            }
            let receiver = receiver(method);
            self.methods.extend(states.iter().map(|state| (name.clone(), *state, receiver)));
        }
    }
}

impl<'ast> Visit<'ast> for Surface {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        visit::visit_item_impl(self, item);
        let Type::Path(self_type) = &*item.self_ty else { return };
        let name = last(&self_type.path);
        match &item.trait_ {
            Some((_, path, _)) if path.is_ident("State") => {
                self.states.insert(name.clone());
            }
            None if name == "Change" => self.changes.extend(properties(item)),
            None if name == "LiveChange" => self.live_changes.extend(properties(item)),
            _ => {}
        }
        if name == STORE {
            match states_of(&self_type.path, &item.generics) {
                Ok(states) => self.impl_of_store(item, &states),
                Err(problem) => self.blind_spot(&problem),
            }
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        if item.ident == STORE && item.attrs.iter().any(|attribute| attribute.path().is_ident("derive")) {
            self.blind_spot("a derived trait of the store");
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        if let Type::Path(path) = &*item.ty
            && last(&path.path) == STORE
        {
            self.blind_spot(&format!("the alias `{}`", item.ident));
        }
    }

    fn visit_use_rename(&mut self, rename: &'ast UseRename) {
        if rename.ident == STORE {
            self.blind_spot(&format!("the store under the name `{}`", rename.rename));
        }
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        if mentions_store(item.tokens.clone()) {
            self.blind_spot(&format!("a macro `{}` that mentions the store", last(&item.path)));
        }
    }
}

/// The states that `KeyStore<..>` stands for.
fn states_of(path: &syn::Path, generics: &Generics) -> Result<BTreeSet<ConnectionState>, String> {
    let unclear = || "an impl block whose states are unclear".to_owned();
    let argument = path.segments.last().and_then(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => None,
    });
    let Some(GenericArgument::Type(Type::Path(argument))) = argument else { return Err(unclear()) };
    let argument = last(&argument.path);
    if let Some(state) = STATES.into_iter().find(|state| format!("{state:?}") == argument) {
        return Ok([state].into());
    }

    let mut bounds = Vec::new();
    for parameter in &generics.params {
        if let GenericParam::Type(parameter) = parameter
            && parameter.ident == argument
        {
            bounds.extend(&parameter.bounds);
        }
    }
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        match predicate {
            WherePredicate::Type(predicate) => bounds.extend(&predicate.bounds),
            _ => return Err(unclear()),
        }
    }
    let mut states: BTreeSet<_> = STATES.into();
    if bounds.is_empty() {
        return Err(unclear());
    }
    for bound in bounds {
        match bound {
            TypeParamBound::Trait(bound) if bound.path.is_ident("State") => {}
            TypeParamBound::Trait(bound) if bound.path.is_ident("Transient") => states.retain(|state| {
                matches!(state, ConnectionState::Connecting | ConnectionState::Disconnecting)
            }),
            _ => return Err(unclear()),
        }
    }
    Ok(states)
}

fn public_methods(item: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) if matches!(method.vis, Visibility::Public(_)) => Some(method),
        _ => None,
    })
}

/// The methods that change something: they take `self` and give it back.
fn properties(item: &ItemImpl) -> impl Iterator<Item = String> {
    public_methods(item)
        .filter(|method| receiver(method) == Receiver::Taken)
        .map(|method| method.sig.ident.to_string())
}

fn receiver(method: &ImplItemFn) -> Receiver {
    match method.sig.receiver() {
        None => Receiver::Absent,
        Some(receiver) if receiver.reference.is_none() => Receiver::Taken,
        Some(receiver) if receiver.mutability.is_some() => Receiver::MutablyBorrowed,
        Some(_) => Receiver::Borrowed,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

fn mentions_store(tokens: proc_macro2::TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Group(group) => mentions_store(group.stream()),
        proc_macro2::TokenTree::Ident(ident) => ident == STORE,
        _ => false,
    })
}

fn last(path: &syn::Path) -> String {
    path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

fn methods_of_table() -> BTreeSet<Method> {
    METHODS
        .iter()
        .flat_map(|row| {
            row.legal
                .iter()
                .flat_map(|(states, _)| *states)
                .map(|state| (row.method.to_owned(), *state, row.receiver))
        })
        .collect()
}

/// Fails with what is in one set alone.
fn assert_same<T: Ord + std::fmt::Debug>(source: &BTreeSet<T>, table: &BTreeSet<T>) {
    let missing: Vec<_> = source.difference(table).collect();
    assert!(missing.is_empty(), "src/table.rs lacks what the library has: {missing:?}");
    let invented: Vec<_> = table.difference(source).collect();
    assert!(invented.is_empty(), "src/table.rs has what the library lacks: {invented:?}");
}

#[test]
fn every_public_method_of_a_store_has_its_row_in_the_table_and_no_row_is_without_one() {
    assert_same(&Surface::of_source().methods, &methods_of_table());
}

#[test]
fn a_store_implements_the_traits_in_the_table_and_no_others() {
    let table =
        TRAITS.iter().flat_map(|(name, states)| states.iter().map(|state| ((*name).to_owned(), *state)));
    assert_same(&Surface::of_source().traits, &table.collect());
}

#[test]
fn there_are_the_five_states_of_the_table_and_no_others() {
    let table = STATES.into_iter().map(|state| format!("{state:?}"));
    assert_same(&Surface::of_source().states, &table.collect());
    assert_eq!(BTreeSet::from(STATES), ConnectionState::ALL.iter().copied().collect());
}

#[test]
fn every_property_of_a_change_is_in_the_table_with_whether_it_is_live() {
    let surface = Surface::of_source();
    let names = |live_only: bool| {
        PROPERTIES
            .iter()
            .filter(move |property| property.live || !live_only)
            .map(|property| property.name.to_owned())
            .collect()
    };
    assert_same(&surface.changes, &names(false));
    assert_same(&surface.live_changes, &names(true));
}

#[test]
fn no_method_of_a_store_can_be_where_this_does_not_look() {
    assert_eq!(Surface::of_source().blind_spots, Vec::<String>::new());
}

#[test]
fn a_method_is_found_in_every_state_that_its_impl_block_is_for() {
    let source = "
        impl KeyStore<Failed> { pub fn a(self) {} pub(super) fn b(&self) {} fn c(&self) {} }
        impl<S: State> KeyStore<S> { pub async fn d(&self) {} }
        impl<S> crate::KeyStore<S> where S: Transient { pub const fn e(&mut self) {} }
        mod inner { impl KeyStore<super::Connected> { pub fn f() {} } }
        #[cfg(test)] mod tests { impl KeyStore<Connected> { pub fn g() {} } }
        impl AnyKeyStore { pub fn h() {} }
    ";
    use ConnectionState::{Connected, Connecting, Disconnecting, Failed};
    use Receiver::{Absent, Borrowed, MutablyBorrowed, Taken};
    let mut methods: BTreeSet<_> = STATES.into_iter().map(|state| ("d".into(), state, Borrowed)).collect();
    methods.extend([
        ("a".into(), Failed, Taken),
        ("e".into(), Connecting, MutablyBorrowed),
        ("e".into(), Disconnecting, MutablyBorrowed),
        ("f".into(), Connected, Absent),
    ]);
    let surface = Surface::of(source);
    assert_same(&surface.methods, &methods);
    assert_eq!(surface.blind_spots.len(), 0);
}

#[test]
fn a_place_where_a_method_could_hide_is_reported() {
    for source in [
        "impl<S: Usable> KeyStore<S> { pub fn a(&self) {} }",
        "impl<S> KeyStore<S> { pub fn a(&self) {} }",
        "impl<S: State> KeyStore<S> { pub fn a(&self) where S: Usable {} }",
        "type Store = KeyStore<Connected>;",
        "use store::KeyStore as Store;",
        "methods! { impl KeyStore<Connected> { pub fn a(&self) {} } }",
        "macro_rules! methods { () => { impl KeyStore<Connected> { pub fn a(&self) {} } } }",
        "#[derive(Clone)] pub struct KeyStore<S>(S);",
    ] {
        assert_eq!(Surface::of(source).blind_spots.len(), 1, "{source}");
    }
}
