//! Pools that tasks name, against those that there are: a store knows them, a file does not.

use std::collections::BTreeSet;
use std::ops::Range;

use flow_model::dag::DEFAULT_POOL;
use flow_model::suggest::nearest;

use crate::check::CheckedFile;
use crate::diagnostic::Problems;
use crate::tree::{self, Entry};

/// Warns of pools that are not among `pools`: what names them waits. They may come later, so they are no mistakes.
pub fn check_pools(files: &mut [CheckedFile], pools: &BTreeSet<String>) {
    for file in files {
        let Ok(parsed) = &mut file.result else { continue };
        let named = parsed.dag.tasks.iter().map(|task| task.pool.as_str());
        let unknown: BTreeSet<&str> = named.filter(|pool| *pool != DEFAULT_POOL && !pools.contains(*pool)).collect();
        if unknown.is_empty() {
            continue;
        }
        let root = tree::parse(&file.source, &mut Problems::default());
        let mut warnings = Problems::default();
        for pool in unknown {
            let message = format!("there is no pool `{pool}`: what names it waits until there is one");
            let hint = match nearest(pool, pools.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("make it with `flowctl pools set {pool} <slots>`"),
            };
            for place in root.entries().iter().flat_map(|entry| places(entry, pool)) {
                warnings.add(place, message.clone()).hint(hint.clone());
            }
        }
        let mut all = Problems::from(std::mem::take(&mut parsed.warnings));
        all.take_warnings(warnings);
        parsed.warnings = all.finish(&file.source);
    }
}

/// Where a pool is named: in tasks, and in what groups and the file set for them.
fn places(entry: &Entry, pool: &str) -> Vec<Range<usize>> {
    let below = match entry.key.as_str() {
        "tasks" | "task_groups" => entry.node.entries().iter().flat_map(|one| one.node.entries()).collect::<Vec<_>>(),
        "default_args" => entry.node.entries().iter().collect(),
        "pool" if entry.node.text() == Some(pool) => return vec![entry.node.span.clone()],
        _ => return Vec::new(),
    };
    below.into_iter().flat_map(|entry| places(entry, pool)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_text;

    #[test]
    fn pools_that_are_not_there_are_told_where_they_are_named() {
        let text = "
[default_args]
pool = 'wide'
[tasks.a]
noop = true
pool = 'narow'
[tasks.b]
bash = 'echo {{ params.pool }}'
pool = 'narrow'
[task_groups.g.default_args]
pool = 'default_pool'
[task_groups.g.tasks.c]
noop = true
[task_groups.g.task_groups.h.tasks.d]
noop = true
pool = 'narow'
[params]
pool = 'wide'
";
        let pools = BTreeSet::from(["default_pool".to_owned(), "narrow".to_owned()]);
        let mut files = [check_text("a.toml", &format!("{text}[tasks.e]\nnoop = true\n"), None)];
        check_pools(&mut files, &pools);
        let told: Vec<String> = files[0]
            .diagnostics()
            .iter()
            .map(|it| format!("{}: {} ({})", it.line, it.message, it.hint.as_deref().unwrap_or_default()))
            .collect();
        let narow = "there is no pool `narow`: what names it waits until there is one (did you mean `narrow`?)";
        assert_eq!(
            told,
            [
                "3: there is no pool `wide`: what names it waits until there is one (make it with `flowctl pools set wide <slots>`)".to_owned(),
                format!("6: {narow}"),
                format!("16: {narow}"),
            ]
        );
    }
}
