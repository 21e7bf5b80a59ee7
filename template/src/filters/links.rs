//! `urlize`: makes links of addresses in a text.

use super::html::escaped;

/// How links are written.
pub(super) struct Style<'a> {
    /// Characters of an address that are shown.
    pub limit: Option<usize>,
    pub rel: String,
    pub target: Option<&'a str>,
}

/// The text as HTML, with links.
pub(super) fn linked(text: &str, style: &Style<'_>) -> String {
    let text = escaped(text);
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let word_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        out.push_str(&word(&rest[..word_end], style));
        rest = &rest[word_end..];
        let space_end = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        out.push_str(&rest[..space_end]);
        rest = &rest[space_end..];
    }
    out
}

fn word(word: &str, style: &Style<'_>) -> String {
    let mut middle = word;
    while let Some(rest) = middle.strip_prefix("&lt;").or_else(|| middle.strip_prefix(['(', '<'])) {
        middle = rest;
    }
    let head = &word[..word.len() - middle.len()];
    let after_head = middle;
    while let Some(rest) = middle.strip_suffix("&gt;").or_else(|| middle.strip_suffix([')', '>', '.', ','])) {
        middle = rest;
    }
    let mut length = middle.len();
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let opened = after_head[..length].matches(open).count();
        if opened <= after_head[..length].matches(close).count() {
            continue;
        }
        for _ in 0..opened.min(after_head[length..].matches(close).count()) {
            length += after_head[length..].find(close).map_or(0, |at| at + close.len());
        }
    }
    let (middle, tail) = after_head.split_at(length);
    format!("{head}{}{tail}", link(middle, style))
}

fn link(address: &str, style: &Style<'_>) -> String {
    let shown = match style.limit {
        Some(limit) if address.chars().count() > limit => {
            format!("{}...", address.chars().take(limit).collect::<String>())
        }
        _ => address.to_owned(),
    };
    let rel = if style.rel.is_empty() { String::new() } else { format!(" rel=\"{}\"", escaped(&style.rel)) };
    let target = style.target.map(|target| format!(" target=\"{}\"", escaped(target))).unwrap_or_default();
    if is_web_address(address) {
        let scheme = if address.starts_with("http://") || address.starts_with("https://") { "" } else { "https://" };
        return format!("<a href=\"{scheme}{address}\"{rel}{target}>{shown}</a>");
    }
    if let Some(mail) = address.strip_prefix("mailto:").filter(|mail| is_mail_address(mail)) {
        return format!("<a href=\"{address}\">{mail}</a>");
    }
    if !address.starts_with(['@']) && !address.starts_with("www.") && !address.contains(':') && is_mail_address(address)
    {
        return format!("<a href=\"mailto:{address}\">{address}</a>");
    }
    address.to_owned()
}

/// A scheme or `www.` and a host; or a name below one of the oldest top-level domains.
fn is_web_address(text: &str) -> bool {
    let after = ["https://", "http://", "www."].into_iter().find_map(|start| text.strip_prefix(start));
    let rest = after.unwrap_or(text);
    let host_end = rest.find(['/', '?', '#', ':']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(host_end);
    if let Some(port) = rest.strip_prefix(':') {
        let digits = port.chars().take_while(char::is_ascii_digit).count();
        if !(1..=5).contains(&digits) {
            return false;
        }
    }
    let labels: Vec<&str> = host.split('.').collect();
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '%' | '-'));
    if !labels.iter().all(|label| is_label(label)) {
        return false;
    }
    let Some(top) = labels.last() else { return false };
    match after {
        Some(_) => {
            let is_number = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
            let is_name = (2..=63).contains(&top.len()) && top.chars().all(|c| c.is_ascii_lowercase());
            is_name || top.starts_with("xn--") || is_number
        }
        None => labels.len() > 1 && ["com", "net", "int", "edu", "gov", "org", "info", "mil"].contains(top),
    }
}

fn is_mail_address(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let Some((before, top)) = host.rsplit_once('.') else { return false };
    !name.is_empty()
        && before.starts_with(is_word)
        && before.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
        && !top.is_empty()
        && top.chars().all(is_word)
}
