//! From text to a DAG.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flow_model::Dag;
use flow_model::limits::DAG_FILE_BYTES_MAX;

use crate::diagnostic::{Diagnostic, Problems};
use crate::find::is_dag_file;
use crate::identity::Seen;
use crate::links::NamedDag;
use crate::semantic::Files;
use crate::{headers, schema, semantic, tree, walk};

/// A DAG file that was looked at.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    /// Its path relative to the DAG folder, with `/` between the parts.
    pub path: String,
    /// Its text.
    pub source: String,
    /// The DAG's id, as far as it can be told.
    pub dag_id: String,
    /// The DAG, or every mistake (and what else was found).
    pub result: Result<ParsedDag, Vec<Diagnostic>>,
    /// Where the file says its id; its beginning if it says none.
    pub(crate) dag_id_span: Range<usize>,
    /// The files that the result depends on.
    pub(crate) seen: Vec<Seen>,
}

impl CheckedFile {
    /// Everything that was found, in order of the places: mistakes, and what is probably not meant.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.result {
            Ok(parsed) => &parsed.warnings,
            Err(diagnostics) => diagnostics,
        }
    }
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
    /// Other DAGs that its tasks name.
    pub named_dags: Vec<NamedDag>,
}

/// Checks text as if it were the file `name` (a path relative to the DAG folder). Scripts are looked for in `folder`;
/// without one, that they exist is not checked.
pub fn check_text(name: &str, source: &str, folder: Option<&Path>) -> CheckedFile {
    // Line ends are no content: scripts run, and the DAG's version is the same, whatever wrote the file.
    let source = &*flow_model::outside::unix_lines(source);
    let mut problems = Problems::default();
    let root = tree::parse(source, &mut problems);
    let told = problems.len();
    let is_whole = told == 0;
    let written_id = root.get("dag_id").filter(|node| node.text().is_some());
    let dag_id = written_id.and_then(tree::Node::text).map_or_else(|| stem(name), str::to_owned);
    let dag_id_span = written_id.map_or(0..0, |node| node.span.clone());
    let mut warnings = Problems::default();
    let mut files = Files::new(Place { name, folder });
    walk::check_file(&root, schema::whole(), &mut problems);
    headers::warn(source, &root, &mut warnings);
    let text = semantic::Text { source, root: &root, dag_id: &dag_id, is_whole };
    let parsed = semantic::read(&text, &mut files, &mut problems, &mut warnings);
    // What could not be read has been told; that it is not as it should be is no news.
    problems.forget_after(told, |span| !root.is_broken_at(span));
    problems.forget_echoes();
    if !is_whole {
        problems.forget_absences();
    }
    if parsed.is_none() && problems.is_empty() {
        problems.add(0..0, "this file cannot be read").hint("please report this, with the file");
    }
    let (contents, seen) = files.finish();
    let is_good = problems.is_empty();
    problems.take_warnings(warnings);
    let diagnostics = problems.finish(source);
    let result = match parsed {
        Some((dag, named_dags)) if is_good => Ok(ParsedDag { dag, files: contents, warnings: diagnostics, named_dags }),
        _ => Err(diagnostics),
    };
    CheckedFile { path: name.to_owned(), source: source.to_owned(), dag_id, result, dag_id_span, seen }
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
    let path = folder.join(relative);
    let seen = Seen::now(&path);
    let read = if is_dag_file(&name) { read_text(&path) } else { Err(no_dag_file(&name)) };
    let mut file = match read {
        Ok(source) => check_text(&name, &source, Some(folder)),
        Err((message, hint)) => refused(name, message, hint),
    };
    file.seen.push(seen);
    file
}

/// What somebody has named that is no DAG file: as TOML it would be wrong in every line.
fn no_dag_file(name: &str) -> (String, &'static str) {
    let hint = match Path::new(name).extension().and_then(std::ffi::OsStr::to_str) {
        Some("py") => {
            "write the DAG into a `.toml` file; `python = { script = \"...\" }` and `{ call = \"...\" }` run what is here"
        }
        _ => {
            "name a `.toml` file, or the folder with them; scripts and other files are checked with the DAG that uses them"
        }
    };
    (format!("`{name}` is no DAG file: those are TOML, and end in `.toml`"), hint)
}

fn refused(path: String, message: String, hint: &str) -> CheckedFile {
    let mut problems = Problems::default();
    problems.add(0..0, message).hint(hint);
    CheckedFile {
        dag_id: stem(&path),
        path,
        source: String::new(),
        result: Err(problems.finish("")),
        dag_id_span: 0..0,
        seen: Vec::new(),
    }
}

/// The text of a file; or what is wrong with it, and what to do.
fn read_text(path: &Path) -> Result<String, (String, &'static str)> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "give the user that Flow runs as the right to read it",
            std::io::ErrorKind::NotFound => "is it a link to a file that is gone?",
            _ => "check it with `ls -l`",
        };
        (format!("cannot read the file: {error}"), hint)
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // Reading from a pipe could wait for ever.
    if !metadata.is_file() {
        return Err(("this is not a file".to_owned(), "only files and folders belong into the DAG folder"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(DAG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > DAG_FILE_BYTES_MAX {
        let size = metadata.len().max(DAG_FILE_BYTES_MAX + 1);
        let message = format!("the file has {size} bytes, and a DAG file may have {DAG_FILE_BYTES_MAX}");
        return Err((message, "keep data out of DAG files: tasks can read it from files or databases"));
    }
    match String::from_utf8(bytes) {
        Ok(source) if source.contains('\0') => {
            Err(("the file holds NUL bytes: it is not text".to_owned(), "DAG files are TOML in UTF-8"))
        }
        Ok(source) => Ok(source),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err((format!("line {line} of the file is not UTF-8 text"), "save it as UTF-8"))
        }
    }
}

/// The file's name without its extension.
pub(crate) fn stem(name: &str) -> String {
    Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
