//! The part of Markdown that descriptions and questions need: paragraphs, headings, lists, code, emphasis and links.
//! Everything else is text. The result is safe whatever it is made from: each character is escaped, and links lead only
//! to the web, by mail or to our own pages.

use std::fmt::Write;

/// Markdown as HTML.
pub(crate) fn markdown(source: &str) -> String {
    let mut html = String::with_capacity(source.len() * 2);
    let mut open = Block::None;
    for line in source.lines() {
        if open == Block::Code {
            if line.trim_start().starts_with("```") {
                open.change(Block::None, &mut html);
            } else {
                escape(&mut html, line);
                html.push('\n');
            }
            continue;
        }
        let text = line.trim();
        if text.is_empty() {
            open.change(Block::None, &mut html);
        } else if text.starts_with("```") {
            open.change(Block::Code, &mut html);
        } else if let Some((level, title)) = heading(text) {
            open.change(Block::None, &mut html);
            let _ = write!(html, "<h{level}>{}</h{level}>", inline(title));
        } else if let Some(item) = text.strip_prefix("- ").or_else(|| text.strip_prefix("* ")) {
            open.change(Block::List, &mut html);
            let _ = write!(html, "<li>{}</li>", inline(item));
        } else if let Some(item) = numbered(text) {
            open.change(Block::Numbered, &mut html);
            let _ = write!(html, "<li>{}</li>", inline(item));
        } else {
            let goes_on = open == Block::Paragraph;
            open.change(Block::Paragraph, &mut html);
            let _ = write!(html, "{}{}", if goes_on { "\n" } else { "" }, inline(text));
        }
    }
    open.change(Block::None, &mut html);
    html
}

/// Text as HTML.
pub(crate) fn plain(source: &str) -> String {
    let mut html = String::with_capacity(source.len());
    escape(&mut html, source);
    html
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Paragraph,
    List,
    Numbered,
    Code,
}

impl Block {
    fn change(&mut self, to: Block, html: &mut String) {
        if *self != to {
            html.push_str(match self {
                Block::None => "",
                Block::Paragraph => "</p>",
                Block::List => "</ul>",
                Block::Numbered => "</ol>",
                Block::Code => "</code></pre>",
            });
            html.push_str(match to {
                Block::None => "",
                Block::Paragraph => "<p>",
                Block::List => "<ul>",
                Block::Numbered => "<ol>",
                Block::Code => "<pre><code>",
            });
            *self = to;
        }
    }
}

/// Headings of a text begin below those of the page.
fn heading(text: &str) -> Option<(usize, &str)> {
    let level = text.bytes().take_while(|byte| *byte == b'#').count();
    let title = text[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| ((level + 2).min(6), title.trim()))
}

fn numbered(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=4).contains(&digits).then(|| text[digits..].strip_prefix(". "))?
}

fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[', '\\']) {
        escape(&mut html, &rest[..at]);
        rest = &rest[at..];
        rest = match span(rest) {
            Some((made, after)) => {
                html.push_str(&made);
                after
            }
            None => {
                escape(&mut html, &rest[..1]);
                &rest[1..]
            }
        };
    }
    escape(&mut html, rest);
    html
}

/// The marked text at the start, and what comes after it.
fn span(text: &str) -> Option<(String, &str)> {
    if let Some(character) = escaped(text) {
        return Some((plain(character), &text[2..]));
    }
    if let Some(after) = text.strip_prefix('`') {
        let (code, rest) = after.split_once('`')?;
        return Some((format!("<code>{}</code>", plain(code)), rest));
    }
    for (mark, tag) in [("**", "strong"), ("*", "em")] {
        let Some(after) = text.strip_prefix(mark) else { continue };
        let Some((marked, rest)) = split(after, mark).filter(|(marked, _)| is_marked(marked)) else { continue };
        return Some((format!("<{tag}>{}</{tag}>", inline(marked)), rest));
    }
    let (label, after) = split(text.strip_prefix('[')?, "](")?;
    let (target, rest) = split(after, ")")?;
    let target = &unescaped(target);
    let is_safe = ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
        || (target.starts_with('/') && !target.starts_with("//") && !target.contains('\\'));
    is_safe.then(|| (format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", plain(target), inline(label)), rest))
}

/// The character after a backslash, where that protects it.
fn escaped(text: &str) -> Option<&str> {
    let after = text.strip_prefix('\\')?;
    after.starts_with(|c: char| c.is_ascii_punctuation()).then(|| &after[..1])
}

/// What is before and after a mark that no backslash protects.
fn split<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if let Some(after) = text[at..].strip_prefix(mark) {
            return Some((&text[..at], after));
        }
        at += if escaped(&text[at..]).is_some() { 2 } else { character.len_utf8() };
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let character = escaped(rest).and_then(|text| text.chars().next()).map_or(character, |protected| {
            rest = &rest[1..];
            protected
        });
        plain.push(character);
        rest = &rest[character.len_utf8()..];
    }
    plain
}

/// Two stars in `2 * 3 * 4` mark nothing.
fn is_marked(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(' ') && !text.ends_with(' ')
}

fn escape(html: &mut String, text: &str) {
    for character in flow_model::visible(text).chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::markdown;

    #[test]
    fn what_it_knows() {
        for (source, html) in [
            ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
            ("# Title\ntext", "<h3>Title</h3><p>text</p>"),
            (
                "- a\n- **b**\n\n1. c\n2. *d*",
                "<ul><li>a</li><li><strong>b</strong></li></ul><ol><li>c</li><li><em>d</em></li></ol>",
            ),
            ("```sh\na < b\n```", "<pre><code>a &lt; b\n</code></pre>"),
            ("`a*b*` 2 * 3 * 4", "<p><code>a*b*</code> 2 * 3 * 4</p>"),
            (
                "[see](https://example.org/?a=1&b=2)",
                "<p><a href=\"https://example.org/?a=1&amp;b=2\" rel=\"noreferrer\">see</a></p>",
            ),
            ("[own](/dags) #7", "<p><a href=\"/dags\" rel=\"noreferrer\">own</a> #7</p>"),
            ("```\nopen", "<pre><code>open\n</code></pre>"),
            ("\\[a\\](https://b) \\*c\\* \\` \\d", "<p>[a](https://b) *c* ` \\d</p>"),
            ("[a\\](b \\[c](/d\\_e)", "<p><a href=\"/d_e\" rel=\"noreferrer\">a](b [c</a></p>"),
            ("**\\*\\***", "<p><strong>**</strong></p>"),
            ("\\# no title", "<p># no title</p>"),
        ] {
            assert_eq!(markdown(source), html, "{source}");
        }
    }

    #[test]
    fn what_is_dangerous_stays_text() {
        for source in [
            "[x](javascript:alert(1))",
            "\\[x](https://evil.example)",
            "[x](java\\script:alert(1))",
            "[x](//evil.example)",
            "[x](data:text/html,x)",
            "[x](/\\evil)",
        ] {
            assert!(!markdown(source).contains("<a"), "{source}");
        }
        assert_eq!(markdown("<script>"), "<p>&lt;script&gt;</p>");
        assert!(!markdown("[x](https://a\"onclick=\"b)").contains("\"onclick"));
    }

    proptest! {
        #[test]
        fn only_its_own_tags_come_out(source in r#"([<>"'&`*\[\]()#\\\n -]|[a-z/:]|1\. |https://|```){0,60}"#) {
            let html = markdown(&source);
            for tag in html.split('<').skip(1) {
                let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                let known = ["p", "ul", "ol", "li", "code", "pre", "strong", "em", "a", "h3", "h4", "h5", "h6"];
                prop_assert!(known.contains(&name.as_str()), "{} from {:?}", html, source);
            }
            prop_assert_eq!(html.matches('"').count() % 4, 0, "{}", html);
        }
    }
}
