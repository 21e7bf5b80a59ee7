//! Which modules of ours a script imports, directly and through others; and which of them are missing.
//!
//! Ours is what stands in the DAG folder where the script would find it: beside the script, beside the DAG file, or at the
//! top of the DAG folder. The worker's module path is the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flow_model::suggest::nearest;

use super::files::Files;
use crate::diagnostic::Problems;
use crate::python::{Import, definitions, imports, is_stdlib, may_define};
use crate::tree::Node;

/// A module that was found; paths are relative to the DAG folder.
#[derive(Debug, Clone)]
enum Found {
    /// A file `name.py`.
    File(PathBuf),
    /// A folder with `__init__.py`.
    Package(PathBuf),
    /// A folder with Python files, but no `__init__.py`.
    Folder(PathBuf),
}

/// Follows imports.
pub(super) struct Modules<'f, 'p> {
    files: &'f mut Files<'p>,
    /// Where modules are looked for, relative to the DAG folder.
    path: Vec<PathBuf>,
    /// Files that were looked at or wait for it, each with the folder of the package that it belongs to.
    seen: BTreeSet<PathBuf>,
    waiting: Vec<Source>,
    keys: BTreeSet<String>,
}

/// A source whose imports are followed.
struct Source {
    /// How people know it.
    name: String,
    text: String,
    /// The folder for relative imports, and how many packages are around it; `None`: it is no module.
    package: Option<(PathBuf, usize)>,
}

impl<'f, 'p> Modules<'f, 'p> {
    /// Looks beside the script (if it is one), beside the DAG file, and at the top of the DAG folder.
    pub fn new(files: &'f mut Files<'p>, script: Option<&str>) -> Self {
        let home = files.home();
        let mut path: Vec<PathBuf> = Vec::new();
        let beside = script.map(|script| parent(&files.relative_to_root(script)));
        for folder in beside.into_iter().chain([home, PathBuf::new()]) {
            if !path.contains(&folder) {
                path.push(folder);
            }
        }
        Modules { files, path, seen: BTreeSet::new(), waiting: Vec::new(), keys: BTreeSet::new() }
    }

    /// Looks beside a script only.
    pub fn beside(files: &'f mut Files<'p>, script: &str) -> Self {
        let path = vec![parent(&files.relative_to_root(script))];
        Modules { files, path, seen: BTreeSet::new(), waiting: Vec::new(), keys: BTreeSet::new() }
    }

    /// The files that a source needs, by their keys.
    pub fn of_source(mut self, name: &str, text: &str, node: &Node, problems: &mut Problems) -> BTreeSet<String> {
        self.waiting.push(Source { name: name.to_owned(), text: text.to_owned(), package: None });
        self.follow(node, problems);
        self.keys
    }

    /// The files that a function of ours needs. A module that is not ours has to be installed where the task runs.
    pub fn of_call(
        mut self,
        target: &str,
        node: &Node,
        problems: &mut Problems,
        warnings: &mut Problems,
    ) -> BTreeSet<String> {
        let (module, function) = target.split_once(':').unwrap_or((target, ""));
        let name = first_step(module);
        if is_stdlib(name) && self.top(name).is_none() {
            return self.keys;
        }
        if self.top(name).is_none() {
            let problem = warnings.add(node.span.clone(), format!("there is no module `{name}` in the DAG folder"));
            match nearest(name, self.names_in_path().iter().map(String::as_str)) {
                Some(meant) => problem
                    .hint(format!("did you mean `{meant}`? Otherwise it has to be installed where the task runs")),
                None => problem.hint("it has to be installed where the task runs, or named in `requirements`"),
            };
            return self.keys;
        }
        match self.module(module, node, problems) {
            Ok(found) => self.check_function(module, function, &found, node, problems),
            Err(why) => {
                problems.add(node.span.clone(), why.0).hint(why.1);
            }
        }
        self.follow(node, problems);
        self.keys
    }

    fn check_function(&self, module: &str, function: &str, found: &Found, node: &Node, problems: &mut Problems) {
        let text = match found {
            Found::File(path) => self.files.text_of(path),
            Found::Package(path) => self.files.text_of(&path.join("__init__.py")),
            Found::Folder(_) => Some(String::new()),
        };
        let (Some(text), name) = (text, first_step(function)) else { return };
        if !may_define(&text, name) {
            let known = definitions(&text);
            let problem = problems.add(node.span.clone(), format!("`{module}` has no `{name}`"));
            match nearest(name, known.iter().map(String::as_str)) {
                Some(meant) => problem.hint(format!("did you mean `{module}:{meant}`?")),
                None => problem.hint("`call` is `package.module:function`"),
            };
        }
    }

    fn follow(&mut self, node: &Node, problems: &mut Problems) {
        while let Some(source) = self.waiting.pop() {
            for import in imports(&source.text) {
                if let Err((message, hint)) = self.import(&source, &import, node, problems)
                    && !import.is_optional
                {
                    let name = &source.name;
                    problems.add(node.span.clone(), format!("{message} (`{name}`, line {})", import.line)).hint(hint);
                }
            }
        }
    }

    fn import(
        &mut self,
        source: &Source,
        import: &Import,
        node: &Node,
        problems: &mut Problems,
    ) -> Result<(), (String, String)> {
        let found = if import.level > 0 {
            self.relative(source, import, node, problems)?
        } else {
            let name = first_step(&import.module);
            // Flow's own, Python's own, or installed where the task runs.
            if name == "flow" || self.top(name).is_none() {
                return Ok(());
            }
            self.module(&import.module, node, problems)?
        };
        for name in import.names.iter().flatten().filter(|name| *name != "*") {
            self.member(&found, import, name, node, problems)?;
        }
        Ok(())
    }

    /// The module that a relative import means.
    fn relative(
        &mut self,
        source: &Source,
        import: &Import,
        node: &Node,
        problems: &mut Problems,
    ) -> Result<Found, (String, String)> {
        let dots = ".".repeat(import.level);
        let written = format!("{dots}{}", import.module);
        let Some((folder, depth)) = source.package.clone().filter(|(_, depth)| *depth > 0) else {
            let hint = format!("only modules of a package know `{dots}`; write `import {}`", import.module);
            return Err((format!("there is no package around for `{written}`"), hint));
        };
        if import.level > depth {
            let hint = format!("{depth} packages are around it");
            return Err((format!("`{written}` leads out of the package"), hint));
        }
        let mut base = folder;
        for _ in 1..import.level {
            base.pop();
        }
        let depth = depth + 1 - import.level;
        if import.module.is_empty() {
            return Ok(self.take(Found::in_folder(self.files, &base), depth.saturating_sub(1), node, problems));
        }
        self.below(&base, depth, &import.module, &written, node, problems)
    }

    /// The module with an absolute name whose beginning is ours.
    fn module(&mut self, name: &str, node: &Node, problems: &mut Problems) -> Result<Found, (String, String)> {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let Some(top) = self.top(first) else { return Err((format!("there is no module `{first}`"), String::new())) };
        let top = self.take(top, 0, node, problems);
        if rest.is_empty() {
            return Ok(top);
        }
        match &top {
            Found::File(_) => Err((
                format!("`{first}` is no package, so there is no `{name}`"),
                format!("write `from {first} import ...`, or make it a folder with `__init__.py`"),
            )),
            // A folder without `__init__.py` takes no name from what Python itself brings.
            Found::Folder(_) if is_stdlib(first) => Ok(top),
            Found::Package(folder) | Found::Folder(folder) => {
                let folder = folder.clone();
                self.below(&folder, 1, rest, name, node, problems)
            }
        }
    }

    /// The module `rest` below a package's folder.
    fn below(
        &mut self,
        folder: &Path,
        depth: usize,
        rest: &str,
        written: &str,
        node: &Node,
        problems: &mut Problems,
    ) -> Result<Found, (String, String)> {
        let mut folder = folder.to_owned();
        let mut steps = rest.split('.').enumerate().peekable();
        while let Some((index, step)) = steps.next() {
            let Some(found) = self.find(&folder, step) else {
                return Err(self.missing(&folder, step, written));
            };
            let found = self.take(found, depth + index, node, problems);
            match (&found, steps.peek()) {
                (_, None) => return Ok(found),
                (Found::Package(inner) | Found::Folder(inner), Some(_)) => folder = inner.clone(),
                (Found::File(_), Some(_)) => return Err(self.missing(&folder, step, written)),
            }
        }
        Ok(Found::Folder(folder))
    }

    /// What `from package import name` brings, if it is a module.
    fn member(
        &mut self,
        found: &Found,
        import: &Import,
        name: &str,
        node: &Node,
        problems: &mut Problems,
    ) -> Result<(), (String, String)> {
        let module = format!("{}{}", ".".repeat(import.level), import.module);
        let (folder, text) = match found {
            Found::File(path) => {
                let text = self.files.text_of(path).unwrap_or_default();
                if may_define(&text, name) {
                    return Ok(());
                }
                let known = definitions(&text);
                let hint = match nearest(name, known.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it is looked for in `{}`", path.display()),
                };
                return Err((format!("`{module}` has no `{name}`"), hint));
            }
            Found::Package(folder) => {
                (folder.clone(), self.files.text_of(&folder.join("__init__.py")).unwrap_or_default())
            }
            Found::Folder(folder) => (folder.clone(), String::new()),
        };
        if let Some(inner) = self.find(&folder, name) {
            let depth = folder.components().count();
            self.take(inner, depth, node, problems);
            return Ok(());
        }
        if may_define(&text, name) || (matches!(found, Found::Folder(_)) && is_stdlib(&module)) {
            return Ok(());
        }
        Err(self.missing(&folder, name, &format!("{module}.{name}")))
    }

    fn missing(&self, folder: &Path, step: &str, written: &str) -> (String, String) {
        let names = names_in(&self.files.full(folder));
        let hint = match nearest(step, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is looked for in the folder `{}`", self.files.full(folder).display()),
        };
        (format!("there is no module `{written}`"), hint)
    }

    /// What the first step of an absolute import means here; `None`: nothing of ours.
    fn top(&mut self, name: &str) -> Option<Found> {
        let path = self.path.clone();
        let found: Vec<Found> = path.iter().filter_map(|folder| self.find(folder, name)).collect();
        let regular = found.iter().find(|found| !matches!(found, Found::Folder(_)));
        if let Some(found) = regular.or(found.first().filter(|_| !is_stdlib(name))) {
            return Some(found.clone());
        }
        if !is_stdlib(name) {
            // When one of them appears, the file is checked again.
            for folder in &path {
                self.files.watch(&folder.join(name));
                self.files.watch(&folder.join(format!("{name}.py")));
            }
        }
        None
    }

    fn find(&mut self, folder: &Path, name: &str) -> Option<Found> {
        let inner = folder.join(name);
        if self.files.full(&inner.join("__init__.py")).is_file() {
            return Some(Found::Package(inner));
        }
        let file = folder.join(format!("{name}.py"));
        if self.files.full(&file).is_file() {
            return Some(Found::File(file));
        }
        let full = self.files.full(&inner);
        (full.is_dir() && !names_in(&full).is_empty()).then_some(Found::Folder(inner))
    }

    /// Takes a module in: its file is published, and what it imports is followed.
    fn take(&mut self, found: Found, depth: usize, node: &Node, problems: &mut Problems) -> Found {
        let (file, package) = match &found {
            Found::File(path) => (path.clone(), (parent(path), depth)),
            Found::Package(path) => (path.join("__init__.py"), (path.clone(), depth + 1)),
            Found::Folder(_) => return found,
        };
        if self.seen.insert(file.clone())
            && let Some(key) = self.files.add_from_root(&file, node, problems)
        {
            self.keys.insert(key.clone());
            let text = self.files.text_of(&file).unwrap_or_default();
            self.waiting.push(Source { name: key, text, package: Some(package) });
        }
        found
    }

    fn names_in_path(&self) -> Vec<String> {
        self.path.iter().flat_map(|folder| names_in(&self.files.full(folder))).collect()
    }
}

impl Found {
    /// A package by its folder.
    fn in_folder(files: &Files<'_>, folder: &Path) -> Found {
        if files.full(&folder.join("__init__.py")).is_file() {
            Found::Package(folder.to_owned())
        } else {
            Found::Folder(folder.to_owned())
        }
    }
}

/// The modules in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.strip_suffix(".py") {
            Some(name) => Some(name.to_owned()),
            None => (entry.path().is_dir() && entry.path().join("__init__.py").is_file()).then_some(name),
        }
    };
    let mut names: Vec<String> = entries.flatten().filter_map(name).filter(|name| name != "__init__").collect();
    names.sort();
    names
}

fn first_step(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}
