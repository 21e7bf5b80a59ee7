//! From text to a DAG.

use std::path::{Path, PathBuf};

use flow_model::Dag;

use crate::diagnostic::{Diagnostic, Problems};
use crate::{schema, semantic, tree, walk};

/// A file larger than this is not read: no DAG that a person wrote is.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A DAG file that was looked at.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    /// Its path relative to the DAG folder, with `/` between the parts.
    pub path: String,
    /// Its text.
    pub source: String,
    /// The DAG's id, as far as it can be told.
    pub dag_id: String,
    /// The DAG, or every mistake.
    pub result: Result<ParsedDag, Vec<Diagnostic>>,
}

/// A DAG and what was found on the way.
#[derive(Debug, Clone)]
pub struct ParsedDag {
    /// The DAG.
    pub dag: Dag,
    /// Files that its tasks use: SHA-256 in hex, and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Things that work and are probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Checks text as if it were the file `name` (a path relative to the DAG folder). Scripts are looked for in `folder`;
/// without one, that they exist is not checked.
pub fn check_text(name: &str, source: &str, folder: Option<&Path>) -> CheckedFile {
    let mut problems = Problems::default();
    let root = tree::parse(source, &mut problems);
    let dag_id = root.get("dag_id").and_then(tree::Node::text).map_or_else(|| stem(name), str::to_owned);
    // What a broken file seems to say is not worth complaining about.
    let mut parsed = None;
    let mut warnings = Problems::default();
    if problems.is_empty() {
        walk::check(&root, schema::whole(), "the file", &mut problems);
        parsed = semantic::read(&root, &dag_id, &Place { name, folder }, &mut problems, &mut warnings);
    }
    let result = match parsed {
        Some(parsed) if problems.is_empty() => Ok(ParsedDag { warnings: warnings.finish(source), ..parsed }),
        _ => Err(problems.finish(source)),
    };
    CheckedFile { path: name.to_owned(), source: source.to_owned(), dag_id, result }
}

/// Where a file stands.
pub(crate) struct Place<'a> {
    pub name: &'a str,
    pub folder: Option<&'a Path>,
}

impl Place<'_> {
    /// The folder that the file is in, relative to the DAG folder.
    pub fn parent(&self) -> PathBuf {
        Path::new(self.name).parent().map(Path::to_owned).unwrap_or_default()
    }
}

/// Reads and checks a file. Files that cannot be read, are too large or are not text become mistakes like any other.
pub fn check_file(folder: &Path, relative: &Path) -> CheckedFile {
    let name = relative.to_string_lossy().replace('\\', "/");
    let refused = |message: String, hint: &str| {
        let mut problems = Problems::default();
        problems.add(0..0, message).hint(hint);
        CheckedFile { dag_id: stem(&name), path: name.clone(), source: String::new(), result: Err(problems.finish("")) }
    };
    let path = folder.join(relative);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            let message = format!("the file has {} bytes, and a DAG file may have {FILE_BYTES_MAX}", metadata.len());
            return refused(message, "keep data out of DAG files: tasks can read it from files or databases");
        }
        Ok(_) => {}
        Err(error) => return refused(format!("cannot read the file: {error}"), "check its permissions"),
    }
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return refused(format!("cannot read the file: {error}"), "check its permissions"),
    };
    match String::from_utf8(bytes) {
        Ok(source) if !source.contains('\0') => check_text(&name, &source, Some(folder)),
        Ok(_) => refused("the file holds NUL bytes: it is not text".to_owned(), "DAG files are TOML in UTF-8"),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            refused(format!("the file is not UTF-8 text (byte {at})"), "save it as UTF-8")
        }
    }
}

/// The file's name without its extension.
pub(crate) fn stem(name: &str) -> String {
    Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
