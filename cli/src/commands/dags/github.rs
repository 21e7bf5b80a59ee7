//! Commands that GitHub's workflows read from the output of their steps.

use flow_dagfile::{Diagnostic, Severity};

/// The command that shows a finding beside its line of a file.
pub fn command(file: &str, found: &Diagnostic) -> String {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let hint = found.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let text = escaped(&format!("{}{hint}", found.message));
    let script = found.script.as_ref().map(|script| flow_dagfile::script_path(file, &script.path));
    let file = script.as_deref().unwrap_or(file);
    format!("::{level} file={},line={},col={}::{text}", property(file), found.line, found.column)
}

/// What would end the command, or begin another escape.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property, also what separates properties.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_file_says_ends_the_command_or_begins_another() {
        let text = "[tasks.a]\nnoop = true\n\"100%\\n::error::x\" = 1\n";
        let file = flow_dagfile::check_text("file.toml", text, None);
        let told: Vec<String> = file.diagnostics().iter().map(|it| command("a:b,c%.toml", it)).collect();
        let [told] = told.as_slice() else { panic!("{told:#?}") };
        assert!(!told.contains('\n'), "{told}");
        let begin = "::error file=a%3Ab%2Cc%25.toml,line=3,col=1::unknown key `100%25%0A::error::x`%0Ahint: ";
        assert!(told.starts_with(begin), "{told}");
    }
}
