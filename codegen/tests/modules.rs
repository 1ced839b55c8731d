//! No modules of a crate need each other in a circle: each may be read, and changed, with those alone that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules at the root of a crate, each with those that it names, in itself or in modules within it.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Macros whose tokens are code of another crate.
const QUOTES: [&str; 2] = ["quote", "quote_spanned"];

/// Reads the modules of a crate, but for those that only tests have.
struct Reader {
    /// The items of the root by the module that they come from.
    exported: BTreeMap<String, String>,
    graph: Graph,
}

/// A module: its path from the root, and the folder of the files of its own modules.
#[derive(Clone)]
struct Place {
    path: Vec<String>,
    folder: PathBuf,
}

impl Reader {
    /// The graph of the crate with this root file.
    fn read(root: &Path) -> Graph {
        let mut reader = Self { exported: BTreeMap::new(), graph: Graph::new() };
        let place = Place { path: Vec::new(), folder: root.parent().unwrap().to_owned() };
        let tokens = tokens(&fs::read_to_string(root).unwrap());
        reader.exports(&tokens);
        reader.module(&tokens, &place);
        reader.graph
    }

    /// Notes what the root itself takes from its modules, such as `pub use error::{Error, Result}`.
    fn exports(&mut self, tokens: &[TokenTree]) {
        let modules =
            tokens.windows(2).filter(|pair| is(&pair[0], "mod")).map(|pair| pair[1].to_string()).collect::<BTreeSet<_>>();
        for (index, _) in tokens.iter().enumerate().filter(|(_, token)| is(token, "use")) {
            let module = tokens[index + 1].to_string();
            let path = tokens[index + 2..].iter().take_while(|token| !is(token, ";"));
            if modules.contains(&module) {
                let mut names = Vec::new();
                identifiers(path.cloned(), &mut names);
                self.exported.extend(names.into_iter().map(|name| (name, module.clone())));
            }
        }
    }

    /// Reads the items of a module.
    fn module(&mut self, tokens: &[TokenTree], place: &Place) {
        let mut index = 0;
        while index < tokens.len() {
            index += 1;
            let before = |count: usize| index.checked_sub(count + 1).map(|index| &tokens[index]);
            match &tokens[index - 1] {
                TokenTree::Group(group) if before(1).is_some_and(|token| is(token, "#")) && is_for_tests(&group.stream()) => {
                    index += item(&tokens[index..]);
                }
                TokenTree::Group(group) => {
                    let tokens = group.stream().into_iter().collect::<Vec<_>>();
                    match (before(1), before(2)) {
                        (Some(mark), Some(name)) if is(mark, "!") && QUOTES.iter().any(|quote| is(name, quote)) => {}
                        (Some(name), Some(word)) if is(word, "mod") => self.module(&tokens, &inner(place, name)),
                        _ => self.module(&tokens, place),
                    }
                }
                word if is(word, "mod") && tokens.get(index + 1).is_some_and(|token| is(token, ";")) => {
                    let place = inner(place, &tokens[index]);
                    let file =
                        [place.folder.with_extension("rs"), place.folder.join("mod.rs")].into_iter().find(|file| file.exists());
                    let file = file.unwrap_or_else(|| panic!("no file of the module {}", place.path.join("::")));
                    self.module(&self::tokens(&fs::read_to_string(file).unwrap()), &place);
                }
                word if is(word, "crate") && !before(1).is_some_and(|token| is(token, "$")) => {
                    self.named(&tokens[index..], place)
                }
                word if is(word, "super") => {
                    let after = &tokens[index..];
                    let more = after.chunks(3).take_while(|part| part.len() == 3 && is(&part[2], "super")).count();
                    let first = !before(3).is_some_and(|token| is(token, "super"));
                    if first && more + 1 == place.path.len() {
                        self.named(&after[3 * more..], place);
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes what follows the root of the crate in a path: one module, or several in braces.
    fn named(&mut self, after: &[TokenTree], place: &Place) {
        let [first, second, name, ..] = after else { return };
        let Some(module) = place.path.first().filter(|_| is(first, ":") && is(second, ":")) else { return };
        let names = match name {
            TokenTree::Group(group) => {
                let tokens = group.stream().into_iter().collect::<Vec<_>>();
                tokens.split(|token| is(token, ",")).filter_map(|path| Some(path.first()?.to_string())).collect()
            }
            name => vec![name.to_string()],
        };
        let modules = names.into_iter().map(|name| self.exported.get(&name).cloned().unwrap_or(name));
        self.graph.entry(module.clone()).or_default().extend(modules.filter(|other| other != module));
    }
}

/// A text as tokens, without its comments.
fn tokens(text: &str) -> Vec<TokenTree> {
    text.parse::<TokenStream>().unwrap().into_iter().collect()
}

fn is(token: &TokenTree, text: &str) -> bool {
    !matches!(token, TokenTree::Group(_)) && token.to_string() == text
}

/// All identifiers, in groups or not.
fn identifiers(tokens: impl IntoIterator<Item = TokenTree>, names: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => identifiers(group.stream(), names),
            TokenTree::Ident(name) => names.push(name.to_string()),
            _ => {}
        }
    }
}

/// Whether an attribute says that only tests have its item.
fn is_for_tests(attribute: &TokenStream) -> bool {
    attribute.to_string().replace(' ', "") == "cfg(test)"
}

/// Tokens of the item at the beginning, with the attributes that are left of it.
fn item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is(token, ";"),
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

/// The module of that name in another.
fn inner(place: &Place, name: &TokenTree) -> Place {
    let name = name.to_string();
    Place { path: [&place.path[..], std::slice::from_ref(&name)].concat(), folder: place.folder.join(name) }
}

/// A circle of modules, if there is one: each needs the next, and the last the first.
fn circle(graph: &Graph) -> Option<Vec<&str>> {
    fn walk<'g>(graph: &'g Graph, module: &'g str, path: &mut Vec<&'g str>, done: &mut BTreeSet<&'g str>) -> bool {
        if let Some(start) = path.iter().position(|known| *known == module) {
            path.drain(..start);
            return true;
        }
        path.push(module);
        let mut needs = graph.get(module).into_iter().flatten();
        if !done.contains(module) && needs.any(|next| walk(graph, next, path, done)) {
            return true;
        }
        path.pop();
        done.insert(module);
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    graph.keys().any(|module| walk(graph, module, &mut path, &mut done)).then_some(path)
}

/// The root files of all crates of this repository, below a folder.
fn roots(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("Cargo.toml").exists() {
        found.extend(["src/lib.rs", "src/main.rs"].map(|root| folder.join(root)).into_iter().filter(|root| root.exists()));
    }
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type().unwrap().is_dir() && !hidden && entry.file_name() != "target" {
            roots(&entry.path(), found);
        }
    }
}

#[test]
fn no_crate_has_a_circle_of_modules() {
    let mut found = Vec::new();
    roots(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut found);
    let graphs = found.iter().map(|root| (root, Reader::read(root))).collect::<Vec<_>>();
    assert!(graphs.iter().any(|(_, graph)| graph.len() > 20), "a crate of many modules was read");
    for (root, graph) in &graphs {
        if let Some(circle) = circle(graph) {
            panic!("{}: modules need each other in a circle: {} -> {}", root.display(), circle.join(" -> "), circle[0]);
        }
    }
}

#[test]
fn all_ways_to_name_a_module_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "lib.rs",
        "mod one; mod two; mod three; mod four; mod five; mod six; pub use six::{Wrong, nested::Deep}; #[cfg(test)] mod tests;",
    );
    write(
        "one.rs",
        "use crate::{two::{self, A}, three}; #[cfg(test)] mod tests { use crate::four; } mod inner { use super::super::five; }",
    );
    write("two/mod.rs", "mod part; // use crate::one;\n#[cfg(test)]\nuse crate::one;\nfn a() { assert!(crate::three::b()); }");
    write(
        "two/part.rs",
        "use super::A; use super::super::four::B; fn a() { quote!(crate::one::a) } macro_rules! m { () => { $crate::one::a() } }",
    );
    write("three.rs", "fn a(wrong: crate::Wrong) {}");
    write("four.rs", "use super::five;");
    write("five.rs", "const TEXT: &str = \"crate::one\";");
    write("six.rs", "");
    let graph = Reader::read(&folder.path().join("lib.rs"));
    let needs = |module: &str| graph.get(module).into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(needs("one"), ["five", "three", "two"]);
    assert_eq!(needs("two"), ["four", "three"]);
    assert_eq!((needs("three"), needs("four"), needs("five")), (vec!["six"], vec!["five"], vec![]));
    assert_eq!(circle(&graph), None);
    write("six.rs", "use crate::one;");
    let graph = Reader::read(&folder.path().join("lib.rs"));
    assert_eq!(circle(&graph), Some(vec!["one", "three", "six"]));
}
