//! The layers of the source: imports point down only, and no file needs another that needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each top-level module, and those that it may import from.
const LAYERS: [(&str, &[&str]); 14] = [
    ("fuzz", &["backends", "commands", "model", "output", "settings", "store"]),
    ("simulation", &["backends", "model", "service", "settings", "store", "system"]),
    ("main", &["cli", "exit", "output", "system"]),
    ("cli", &["commands", "exit", "output", "settings", "store", "system"]),
    (
        "commands",
        &["backends", "exit", "model", "output", "service", "settings", "store", "system"],
    ),
    ("service", &["backends", "model", "settings", "store", "system"]),
    ("settings", &["backends", "document", "model", "store", "system"]),
    ("output", &["exit", "model", "system"]),
    ("backends", &["document", "model", "system"]),
    ("store", &["model", "system"]),
    ("document", &["system"]),
    ("system", &["exit", "model"]),
    ("exit", &["model"]),
    ("model", &[]),
];

/// A module's file: the code without its tests, and the names that it passes on from its children.
struct Module {
    code: String,
    passed_on: BTreeMap<String, String>,
}

/// The modules by path, such as `store::sqlite::schema`.
struct Source(BTreeMap<String, Module>);

impl Source {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut modules = BTreeMap::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory of the source") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).expect("below src").with_extension("");
                let name = name.to_str().expect("a name in ASCII").replace('/', "::");
                let name = name.strip_suffix("::mod").unwrap_or(&name).to_owned();
                let is_test = name.split("::").any(|part| part == "tests");
                if name != "lib" && !is_test {
                    modules.insert(name, Module::new(&fs::read_to_string(path).expect("a file")));
                }
            }
        }
        Self(modules)
    }

    /// Returns the modules that `module` imports from, with each import.
    fn imports(&self, module: &str) -> BTreeSet<String> {
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let mut imports = BTreeSet::new();
        for path in paths(&self.0[module].code) {
            let path = match path.split_once("::") {
                Some(("crate" | "phone_verify", rest)) => rest.to_owned(),
                Some(("self", rest)) => format!("{module}::{rest}"),
                Some(("super", rest)) => match rest.strip_prefix("super::") {
                    Some(rest) => {
                        format!("{}::{rest}", parent.rsplit_once("::").map_or("", |(up, _)| up))
                    }
                    None => format!("{parent}::{rest}"),
                },
                Some((child, _)) if self.0.contains_key(&format!("{module}::{child}")) => {
                    format!("{module}::{path}")
                }
                _ => continue,
            };
            imports.extend(self.resolve(path.trim_start_matches("::")));
        }
        imports.remove(module);
        imports
    }

    /// Returns the module that defines what `path` names. A parent that only passes a name on is not the one.
    fn resolve(&self, path: &str) -> Option<String> {
        let mut module = path;
        while !self.0.contains_key(module) {
            module = module.rsplit_once("::")?.0;
        }
        let item = path[module.len()..].trim_start_matches("::").split("::").next()?;
        match self.0[module].passed_on.get(item) {
            Some(child) => self.resolve(&format!("{module}::{child}::{item}")),
            None => Some(module.to_owned()),
        }
    }
}

impl Module {
    fn new(text: &str) -> Self {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let mut passed_on = BTreeMap::new();
        let mut own = String::new();
        for statement in code.split_inclusive(';') {
            let visibility = statement.trim_start();
            match visibility.split_once("use ") {
                Some((pub_, tree)) if pub_.starts_with("pub") && !tree.starts_with("crate::") => {
                    for path in expand(tree.trim_end_matches(';')) {
                        let path = path.trim_start_matches("self::");
                        if let Some((child, item)) = path.rsplit_once("::") {
                            passed_on.insert(item.to_owned(), child.to_owned());
                        }
                    }
                }
                _ => own += statement,
            }
        }
        Self { code: own, passed_on }
    }
}

/// Returns every path in `code`, with its braces expanded.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut end = 0;
    for (at, _) in code.match_indices("::") {
        if at < end {
            continue;
        }
        let start = code[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_'));
        let start = start.map_or(0, |start| start + 1);
        let tree = tree_at(&code[start..]);
        paths.extend(expand(tree));
        end = start + tree.len();
    }
    paths
}

/// Returns the path at the beginning of `code`, with its braces.
fn tree_at(code: &str) -> &str {
    let mut depth = 0;
    let end = code.find(|c: char| match c {
        '{' => {
            depth += 1;
            false
        }
        '}' => {
            depth -= 1;
            depth < 0
        }
        _ => depth == 0 && !(c.is_alphanumeric() || c == '_' || c == ':'),
    });
    code[..end.unwrap_or(code.len())].trim_end_matches(':')
}

/// Returns the paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let inner = tree[open + 1..].rsplit_once('}').map_or("", |(inner, _)| inner);
    let mut depth = 0;
    let items = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let expanded = items.filter(|item| !item.trim().is_empty()).flat_map(expand);
    expanded.map(|path| [&tree[..open], &path].concat()).collect()
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn imports_point_down_only() {
    let source = Source::read();
    let mut upward = Vec::new();
    for module in source.0.keys() {
        let (_, allowed) = LAYERS
            .iter()
            .find(|(layer, _)| *layer == top(module))
            .unwrap_or_else(|| panic!("src/{module} is in no layer"));
        for import in source.imports(module) {
            if top(&import) != top(module) && !allowed.contains(&top(&import)) {
                upward.push(format!("{module} -> {import}"));
            }
        }
    }
    assert!(upward.is_empty(), "these imports don't point down: {upward:#?}");
}

#[test]
fn no_files_import_from_each_other() {
    let source = Source::read();
    let mut left: BTreeMap<String, BTreeSet<String>> =
        source.0.keys().map(|module| (module.clone(), source.imports(module))).collect();
    // A file that imports nothing else, or that nothing else imports, is in no cycle.
    loop {
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|module, imports| !imports.is_empty() && imported.contains(module));
        if left.len() == before {
            break;
        }
        let modules: BTreeSet<_> = left.keys().cloned().collect();
        left.values_mut().for_each(|imports| imports.retain(|import| modules.contains(import)));
    }
    assert!(left.is_empty(), "these files import from each other: {left:#?}");
}

#[test]
fn a_use_tree_is_expanded() {
    assert_eq!(expand("a::{b, c::{d, e as f}}"), ["a::b", "a::c::d", "a::c::e"]);
    let code = "use crate::x::{A, b::C};\nlet a = super::y::f(crate::z::Z);";
    assert_eq!(paths(code), ["crate::x::A", "crate::x::b::C", "super::y::f", "crate::z::Z"]);
}
