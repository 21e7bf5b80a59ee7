//! Tokens that can be told by their looks, whoever has put them there.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::MASK;

/// Amazon's and Google's keys, tokens of GitHub, GitLab, Slack, Stripe, npm, PyPI and Vault, and JSON web tokens.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",
        r"AIza[0-9A-Za-z_-]{35}",
        r"gh[pousr]_[0-9A-Za-z]{36,251}",
        r"github_pat_[0-9A-Za-z_]{50,}",
        r"glpat-[0-9A-Za-z_-]{20,}",
        r"xox[abeprs]-[0-9A-Za-z-]{10,}",
        r"[rs]k_live_[0-9A-Za-z]{20,}",
        r"npm_[0-9A-Za-z]{36}",
        r"pypi-[0-9A-Za-z_-]{50,}",
        r"hvs\.[0-9A-Za-z_-]{24,}",
        r"eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}",
    ];
    // Without words around: `\b` would have to look at every character.
    Regex::new(&kinds.join("|")).unwrap_or_else(|error| unreachable!("the expressions are constant: {error}"))
});

pub(super) fn mask(text: &str) -> Cow<'_, str> {
    TOKENS.replace_all(text, MASK)
}
