//! What a script says about itself in comments (PEP 723): the packages and the Python that it needs.

/// What the block `# /// script` of a source says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata {
    pub dependencies: Vec<String>,
    pub requires_python: Option<String>,
}

/// Reads the block. `None`: the source has none.
///
/// # Errors
/// In words, with the line.
pub(crate) fn metadata(source: &str) -> Result<Option<Metadata>, String> {
    let Some((line, text)) = block(source)? else { return Ok(None) };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        format!("the block `# /// script` (line {line}) is not TOML: {}", error.message())
    })?;
    let wrong = |key: &str, what: &str| format!("`{key}` in the block `# /// script` (line {line}) is not {what}");
    let dependencies = match table.get("dependencies") {
        None => Vec::new(),
        Some(list) => {
            let texts =
                list.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
            texts.ok_or_else(|| wrong("dependencies", "a list of texts"))?
        }
    };
    let requires_python = match table.get("requires-python") {
        None => None,
        Some(text) => Some(text.as_str().ok_or_else(|| wrong("requires-python", "a text"))?.to_owned()),
    };
    Ok(Some(Metadata { dependencies, requires_python }))
}

/// The text of the block without its `#`, and the line in which it begins.
fn block(source: &str) -> Result<Option<(usize, String)>, String> {
    let mut found = None;
    let lines: Vec<&str> = source.lines().map(|line| line.trim_end_matches('\r')).collect();
    let mut at = 0;
    while at < lines.len() {
        if lines[at] != "# /// script" {
            at += 1;
            continue;
        }
        if found.is_some() {
            return Err(format!("there is a second block `# /// script` (line {})", at + 1));
        }
        let comments = lines[at + 1..].iter().take_while(|line| **line == "#" || line.starts_with("# ")).count();
        // The last `# ///` of the comments ends it.
        let end = lines[at + 1..=at + comments].iter().rposition(|line| *line == "# ///");
        let Some(end) = end else {
            return Err(format!("the block `# /// script` (line {}) has no end `# ///`", at + 1));
        };
        let text: Vec<&str> =
            lines[at + 1..at + 1 + end].iter().map(|line| line.strip_prefix("# ").unwrap_or("")).collect();
        found = Some((at + 1, text.join("\n")));
        at += end + 2;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read() {
        let source = "#!/usr/bin/env python3\n# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"requests<3\",\n#\n#   \"rich\",\n# ]\n# ///\nimport requests\n";
        let read = metadata(source).unwrap().unwrap();
        assert_eq!((read.dependencies.len(), read.requires_python.as_deref()), (2, Some(">=3.11")));
        assert_eq!(metadata("import x\n# // script\n"), Ok(None));
        assert_eq!(metadata("# /// script\n# ///\n"), Ok(Some(Metadata::default())));
        assert_eq!(metadata("# /// other\n# x\n# ///\n"), Ok(None));
    }

    #[test]
    fn a_broken_block_is_told() {
        let cases = [
            ("# /// script\n# dependencies = [\n", "has no end"),
            ("x\n# /// script\n# dependencies = [\n# ///\n", "(line 2) is not TOML"),
            ("# /// script\n# dependencies = 'a'\n# ///\n", "is not a list of texts"),
            ("# /// script\n# dependencies = [1]\n# ///\n", "is not a list of texts"),
            ("# /// script\n# requires-python = 3.11\n# ///\n", "is not a text"),
            ("# /// script\n# ///\n\n# /// script\n# ///\n", "second block `# /// script` (line 4)"),
        ];
        for (source, told) in cases {
            let why = metadata(source).unwrap_err();
            assert!(why.contains(told), "{source}: {why}");
        }
    }
}
