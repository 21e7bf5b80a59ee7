//! The log of a running attempt: lines are collected here, shipped to the store while the attempt runs, and the rest
//! goes in with its outcome.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flow_model::limits::{LOG_HEAD_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_TAIL_BYTES_MAX};
use flow_model::log::{Stream, write_line};
use flow_model::{ClaimId, Epoch, TaskInstanceKey, Timestamp};
use flow_secrets::Masker;
use flow_store::{LogAppend, LogBefore, WorkOrder};

/// Bytes of one piece in the store.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// Last lines that are remembered, so that the reason of the end does not repeat them.
const LAST_LINES_MAX: usize = 8;
/// A line that is longer is the line of no reason.
const REMEMBERED_BYTES_MAX: usize = 2048;

/// An attempt's log.
#[derive(Debug)]
pub struct AttemptLog {
    task_instance: TaskInstanceKey,
    epoch: Epoch,
    claim: ClaimId,
    try_number: u32,
    masker: Masker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pending: VecDeque<String>,
    next_seq: i64,
    head_bytes: u64,
    tail: VecDeque<String>,
    tail_bytes: usize,
    totals: Totals,
    /// The last lines of the task itself, as they are kept.
    last: VecDeque<String>,
}

/// What an attempt wrote in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of text.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Bytes that were not kept.
    pub bytes_dropped: u64,
    /// The number of the next piece.
    pub next_seq: i64,
}

impl AttemptLog {
    /// A log that goes on where earlier parts of the try have stopped.
    pub fn new(order: &WorkOrder) -> Self {
        AttemptLog {
            task_instance: order.task_instance,
            epoch: order.epoch,
            claim: order.claim,
            try_number: order.try_number,
            masker: Masker::default(),
            state: Mutex::new(State::after(order.log_before)),
        }
    }

    /// What hides the attempt's secrets, in this log and elsewhere.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// A line from the task. `cut` bytes of it have been left out already; of one that is longer than [`LOG_LINE_BYTES_MAX`] more are.
    pub fn line(&self, at: Timestamp, stream: Stream, text: &str, cut: u64) {
        let (text, rest) = text.split_at(text.floor_char_boundary(LOG_LINE_BYTES_MAX));
        let cut = cut + rest.len() as u64;
        let mut state = self.lock();
        state.totals.lines += 1;
        state.totals.bytes += text.len() as u64 + 1 + cut;
        state.totals.bytes_dropped += cut;
        if cut > 0 {
            let text = self.masker.mask_cut(text);
            let text = format!("{text} ... ({cut} more bytes of this line are left out)");
            state.keep(at, stream, &text);
            state.remember(&text);
        } else {
            let text = self.masker.mask(text);
            state.keep(at, stream, &text);
            state.remember(&text);
        }
    }

    /// The reason why the attempt has ended, from the engine; without the lines of it that the task has just written itself.
    pub fn reason(&self, at: Timestamp, text: &str) {
        let text = self.masker.mask(text);
        let lines: Vec<&str> = text.lines().collect();
        let written = {
            let state = self.lock();
            let is_written = |count: &usize| state.last.iter().rev().take(*count).rev().eq(lines[..*count].iter());
            (1..=lines.len().min(state.last.len())).rev().find(is_written).unwrap_or(0)
        };
        self.system(at, &lines[written..].join("\n"));
    }

    /// A line from the engine. Always kept.
    pub fn system(&self, at: Timestamp, text: &str) {
        let text = self.masker.mask(text);
        let mut state = self.lock();
        for line in text.lines() {
            state.totals.lines += 1;
            if state.tail.is_empty() {
                state.push(at, Stream::System, line);
            } else {
                state.keep(at, Stream::System, line);
            }
        }
    }

    /// What has been collected since the last call, for shipping while the attempt runs.
    pub fn take_piece(&self) -> Option<LogAppend> {
        let mut state = self.lock();
        let content = state.pending.pop_front()?;
        Some(self.piece(&mut state, content))
    }

    /// Everything that is left, with the end of a log that was too long.
    pub fn finish(&self, at: Timestamp) -> (Vec<LogAppend>, Totals) {
        let mut state = self.lock();
        if !state.tail.is_empty() {
            let kept: u64 = state.tail.iter().map(|line| line.len() as u64).sum();
            let left_out = state.totals.bytes_dropped.saturating_sub(kept);
            state.totals.bytes_dropped = left_out;
            if left_out > 0 {
                state.push(at, Stream::System, &format!("... {left_out} bytes of this log are left out here ..."));
            }
            for line in std::mem::take(&mut state.tail) {
                state.append(&line);
            }
        }
        let mut pieces = Vec::new();
        while let Some(content) = state.pending.pop_front() {
            pieces.push(self.piece(&mut state, content));
        }
        state.totals.next_seq = state.next_seq;
        (pieces, state.totals)
    }

    fn piece(&self, state: &mut State, content: String) -> LogAppend {
        let seq = state.next_seq;
        state.next_seq += 1;
        LogAppend {
            task_instance: self.task_instance,
            epoch: self.epoch,
            claim: self.claim,
            try_number: self.try_number,
            seq,
            content,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn after(before: LogBefore) -> Self {
        let LogBefore { next_seq, bytes, lines, bytes_dropped } = before;
        State {
            next_seq,
            head_bytes: bytes.saturating_sub(bytes_dropped),
            totals: Totals { bytes, lines, bytes_dropped, next_seq },
            ..State::default()
        }
    }

    fn remember(&mut self, line: &str) {
        if line.len() > REMEMBERED_BYTES_MAX {
            return self.last.clear();
        }
        let mut oldest =
            if self.last.len() < LAST_LINES_MAX { None } else { self.last.pop_front() }.unwrap_or_default();
        oldest.clear();
        oldest.push_str(line);
        self.last.push_back(oldest);
    }

    /// Keeps a line at the end of the head, or in the tail that only its last lines survive.
    fn keep(&mut self, at: Timestamp, stream: Stream, text: &str) {
        if self.head_bytes < LOG_HEAD_BYTES_MAX && self.tail.is_empty() {
            self.head_bytes += text.len() as u64 + 1;
            self.push(at, stream, text);
            return;
        }
        let mut line = String::new();
        write_line(&mut line, at, stream, text);
        self.totals.bytes_dropped += line.len() as u64;
        self.tail_bytes += line.len();
        self.tail.push_back(line);
        while self.tail_bytes > LOG_TAIL_BYTES_MAX {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |line| line.len());
        }
    }

    fn push(&mut self, at: Timestamp, stream: Stream, text: &str) {
        let mut line = String::with_capacity(text.len() + 24);
        write_line(&mut line, at, stream, text);
        self.append(&line);
    }

    fn append(&mut self, line: &str) {
        match self.pending.back_mut() {
            Some(last) if last.len() + line.len() <= PIECE_BYTES_MAX => last.push_str(line),
            _ => self.pending.push_back(line.to_owned()),
        }
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct LineSplitter {
    partial: Vec<u8>,
    cut: u64,
    line_bytes_max: usize,
}

impl Default for LineSplitter {
    fn default() -> Self {
        LineSplitter::with_limit(LOG_LINE_BYTES_MAX)
    }
}

impl LineSplitter {
    /// A splitter that leaves out what a line has beyond a limit, in bytes.
    pub fn with_limit(line_bytes_max: usize) -> Self {
        LineSplitter { partial: Vec::new(), cut: 0, line_bytes_max }
    }

    /// Takes in bytes and hands out every line that they complete, with the count of bytes left out of it.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&str, u64)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end]);
            self.emit(&mut each);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    /// Hands out a last line that had no newline.
    pub fn finish(&mut self, mut each: impl FnMut(&str, u64)) {
        if !self.partial.is_empty() || self.cut > 0 {
            self.emit(&mut each);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.line_bytes_max - self.partial.len();
        let kept = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..kept]);
        self.cut += (bytes.len() - kept) as u64;
    }

    fn emit(&mut self, each: &mut impl FnMut(&str, u64)) {
        let text = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        each(&String::from_utf8_lossy(text), self.cut);
        self.partial.clear();
        self.cut = 0;
    }
}

#[cfg(test)]
mod tests {
    use flow_model::log::{LogLine, lines};

    use super::*;

    fn log() -> AttemptLog {
        AttemptLog {
            task_instance: TaskInstanceKey(1),
            epoch: Epoch(1),
            claim: ClaimId(1),
            try_number: 1,
            masker: Masker::default(),
            state: Mutex::default(),
        }
    }

    fn at() -> Timestamp {
        Timestamp::from_micros(1)
    }

    fn read(pieces: &[LogAppend]) -> Vec<LogLine> {
        pieces.iter().flat_map(|piece| lines(&piece.content).collect::<Vec<_>>()).collect()
    }

    fn split(chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let mut splitter = LineSplitter::default();
        let mut found = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line, cut| found.push((line.to_owned(), cut)));
        }
        splitter.finish(|line, cut| found.push((line.to_owned(), cut)));
        found
    }

    #[test]
    fn lines_are_whole_however_the_bytes_arrive() {
        let expected = [("one".to_owned(), 0), ("two".to_owned(), 0), (String::new(), 0), ("last".to_owned(), 0)];
        assert_eq!(split(&[b"one\ntwo\r\n\nlast"]), expected);
        assert_eq!(split(&[b"o", b"ne", b"\nt", b"wo\r", b"\n\n", b"last"]), expected);
        assert_eq!(split(&[b"bad \xff byte\n"]), [("bad \u{fffd} byte".to_owned(), 0)]);
        assert_eq!(split(&[]), []);
    }

    #[test]
    fn an_endless_line_takes_no_more_than_its_limit() {
        let chunk = vec![b'x'; 40_000];
        let found = split(&[&chunk, &chunk, &chunk, b"\nnext"]);
        assert_eq!(found[0].0.len(), LOG_LINE_BYTES_MAX);
        assert_eq!(found[0].1, 120_000 - LOG_LINE_BYTES_MAX as u64);
        assert_eq!(found[1].0, "next");
    }

    #[test]
    fn whoever_brings_a_longer_line_has_it_cut_in_the_log() {
        let log = log();
        log.line(at(), Stream::Stdout, &"é".repeat(LOG_LINE_BYTES_MAX), 7);
        let (pieces, totals) = log.finish(at());
        let kept = &read(&pieces)[0].text;
        let note = format!("({} more bytes of this line are left out)", LOG_LINE_BYTES_MAX + 7);
        assert!(kept.starts_with("éé") && kept.ends_with(&note), "{}", &kept[kept.len() - 100..]);
        assert_eq!(
            (totals.bytes, totals.bytes_dropped),
            (2 * LOG_LINE_BYTES_MAX as u64 + 8, LOG_LINE_BYTES_MAX as u64 + 7)
        );
    }

    #[test]
    fn the_reason_does_not_repeat_what_the_task_has_written_last() {
        let cases: [(&[&str], &str, &[&str]); 6] = [
            (&["trace", "KeyError: 'a'"], "KeyError: 'a'", &[]),
            (&["trace", "NotFound: x", "hint: y"], "NotFound: x\nhint: y", &[]),
            (&["NotFound: x"], "NotFound: x\nhint: y", &["hint: y"]),
            (&["NotFound: x", "more"], "NotFound: x", &["NotFound: x"]),
            (&["x"; 20], "x\nx\nx", &[]),
            (&[], "exit code 1", &["exit code 1"]),
        ];
        for (written, reason, added) in cases {
            let log = log();
            for line in written {
                log.line(at(), Stream::Stderr, line, 0);
            }
            log.system(at(), "killed 1 processes that the task had left running");
            log.reason(at(), reason);
            let all = read(&log.finish(at()).0);
            let told: Vec<&str> = all[written.len() + 1..].iter().map(|line| line.text.as_str()).collect();
            assert_eq!(told, added, "{written:?} {reason}");
        }
    }

    #[test]
    fn pieces_are_numbered_and_lose_nothing() {
        let log = log();
        log.line(at(), Stream::Stdout, "first", 0);
        let shipped = log.take_piece().unwrap();
        assert!(log.take_piece().is_none());
        log.line(at(), Stream::Stderr, "second", 0);
        let (rest, totals) = log.finish(at());
        assert_eq!((shipped.seq, rest[0].seq), (0, 1));
        let all = read(&[vec![shipped], rest].concat());
        assert_eq!(all.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(totals, Totals { bytes: 13, lines: 2, bytes_dropped: 0, next_seq: 2 });
    }

    #[test]
    fn a_flood_keeps_its_beginning_and_its_end_and_says_what_is_missing() {
        let log = log();
        let text = "y".repeat(1_000);
        for number in 0..40_000 {
            log.line(at(), Stream::Stdout, &format!("{number} {text}"), 0);
        }
        log.system(at(), "exit code 1");
        let (pieces, totals) = log.finish(at());
        let kept = read(&pieces);
        assert!(kept[0].text.starts_with("0 y"));
        assert_eq!(kept.last().unwrap().text, "exit code 1");
        assert!(kept[kept.len() - 2].text.starts_with("39999 y"));
        assert!(kept.iter().any(|line| line.stream == Stream::System && line.text.contains("left out here")));
        assert!(totals.bytes_dropped > 20_000_000 && totals.lines == 40_001, "{totals:?}");
        let stored: usize = pieces.iter().map(|piece| piece.content.len()).sum();
        assert!(stored < 19 << 20, "{stored}");
        assert!(pieces.iter().all(|piece| piece.content.len() <= PIECE_BYTES_MAX));
    }

    /// What a reader finds of an attempt that writes these chunks and knows a secret.
    fn told(secret: &str, chunks: &[&[u8]]) -> String {
        let log = log();
        log.masker().learn(&flow_model::SecretText::new(secret));
        let mut splitter = LineSplitter::default();
        for chunk in chunks {
            splitter.push(chunk, |line, cut| log.line(at(), Stream::Stdout, line, cut));
        }
        splitter.finish(|line, cut| log.line(at(), Stream::Stdout, line, cut));
        log.system(at(), &format!("it said {secret}"));
        let lines = read(&log.finish(at()).0);
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_secret_is_hidden_wherever_the_bytes_are_split() {
        let text = b"user=ada password=hunter2! base64=aHVudGVyMiE= url=hunter2%21 end";
        for at in 0..text.len() {
            let (left, right) = text.split_at(at);
            let expected = "user=ada password=*** base64=***= url=*** end\nit said ***";
            assert_eq!(told("hunter2!", &[left, right]).replace("***E=", "***="), expected, "split at {at}");
        }
    }

    #[test]
    fn a_line_that_is_cut_inside_a_secret_leaves_nothing_of_it() {
        let secret = "hunter2-hunter2-hunter2";
        for inside in 3..secret.len() {
            let line = format!("{}{secret}{}", "x".repeat(LOG_LINE_BYTES_MAX - inside), "y".repeat(100));
            let told = told(secret, &[line.as_bytes()]);
            assert!(!told.contains("hun") && told.contains("xxx*** ... ("), "{inside} bytes before the cut");
        }
    }
}
