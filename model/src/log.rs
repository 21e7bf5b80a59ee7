//! The format of task logs: one line of text each, `<microseconds since 1970> <stream> <text>`.

use crate::Timestamp;
use crate::state::named_enum;

named_enum!(
    /// Where a log line came from.
    Stream {
        /// The task's standard output.
        Stdout = "stdout",
        /// The task's standard error.
        Stderr = "stderr",
        /// The engine itself.
        System = "system",
    }
);

/// One line of a task's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the worker read it.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The line without its newline. Bytes that are not UTF-8 have been replaced.
    pub text: String,
}

/// Appends a line in the stored format. `text` must not contain a newline.
pub fn write_line(content: &mut String, at: Timestamp, stream: Stream, text: &str) {
    use std::fmt::Write;
    let mark = match stream {
        Stream::Stdout => 'o',
        Stream::Stderr => 'e',
        Stream::System => 's',
    };
    let _ = write!(content, "{} {mark} ", at.as_micros());
    // PostgreSQL's text cannot hold NUL.
    content.extend(text.chars().map(|character| if character == '\0' { '\u{2400}' } else { character }));
    content.push('\n');
}

/// The lines of stored content.
pub fn lines(content: &str) -> impl Iterator<Item = LogLine> + '_ {
    content.split_terminator('\n').filter_map(|line| {
        let (micros, rest) = line.split_once(' ')?;
        let (mark, text) = rest.split_once(' ')?;
        let stream = match mark {
            "o" => Stream::Stdout,
            "e" => Stream::Stderr,
            _ => Stream::System,
        };
        Some(LogLine { at: Timestamp::from_micros(micros.parse().ok()?), stream, text: text.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut content = String::new();
        write_line(&mut content, Timestamp::from_micros(17), Stream::Stdout, "a  b ");
        write_line(&mut content, Timestamp::from_micros(18), Stream::Stderr, "");
        let read: Vec<_> = lines(&content).map(|line| (line.at.as_micros(), line.stream, line.text)).collect();
        assert_eq!(read, [(17, Stream::Stdout, "a  b ".to_owned()), (18, Stream::Stderr, String::new())]);
    }
}
