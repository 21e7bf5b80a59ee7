//! "Did you mean ...?"

pub use flow_template::nearest;

/// A short list for a hint: `a`, `b`, `c`.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
