//! What Flow limits whatever the configuration says: one constant each, shown by `flowctl config show`.

/// A fixed limit, as people read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name: that of the constant, in small letters.
    pub name: &'static str,
    /// How much there may be; the name tells the unit.
    pub value: u64,
    /// What is limited, and what happens beyond.
    pub meaning: &'static str,
}

/// Declares constants, and the table of them: a limit that nobody is told of cannot be declared here.
macro_rules! limits {
    ($($(#[doc = $meaning:literal])+ $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[doc = $meaning])+ pub const $name: $type = $value;)+

        /// All of them, in the order in which they are shown.
        pub const ALL: &[(&str, u64, &str)] = &[$((stringify!($name), $name as u64, concat!($($meaning),+)),)+];
    };
}

limits! {
    /// Bytes of one XCom as JSON, whoever leaves it: tasks, sensors, people. What is larger fails the task.
    XCOM_BYTES_MAX: usize = 1 << 20;
    /// Bytes of an XCom's key.
    XCOM_KEY_BYTES_MAX: usize = 512;
}

/// All of them, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = Limit> {
    ALL.iter().map(|(name, value, meaning)| Limit { name, value: *value, meaning: meaning.trim() })
}
