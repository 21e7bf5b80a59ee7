//! Other DAGs that a file names. One file does not know which there are; a whole folder does.

use std::collections::HashSet;
use std::ops::Range;

use crate::check::CheckedFile;
use crate::diagnostic::Problems;
use crate::suggest::nearest;

/// A DAG that a task names; not where a template does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDag {
    /// The DAG.
    pub dag_id: String,
    /// Where it is named.
    pub span: Range<usize>,
}

/// Warns of DAGs that are named and are in none of these files: all files of a folder.
pub fn warn_of_unknown_dags(files: &mut [CheckedFile]) {
    let known: HashSet<String> = files.iter().map(|file| file.dag_id.clone()).collect();
    for file in files {
        let Ok(parsed) = &mut file.result else { continue };
        let mut problems = Problems::from(std::mem::take(&mut parsed.warnings));
        for NamedDag { dag_id, span } in parsed.named_dags.iter().filter(|named| !known.contains(&named.dag_id)) {
            let hint = match nearest(dag_id, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "a task that names it fails, unless its file comes before the task runs".to_owned(),
            };
            problems.add(span.clone(), format!("no file here defines the DAG `{dag_id}`")).hint(hint);
        }
        parsed.warnings = problems.finish(&file.source);
    }
}
