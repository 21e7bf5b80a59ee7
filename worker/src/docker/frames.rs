//! The stream in which a daemon sends a container's output: frames with a header of eight bytes, `[stream, 0, 0, 0, size]`
//! with the size in big endian, as they come from the network, cut anywhere.

use flow_model::log::Stream;

const HEADER_BYTES: usize = 8;

/// Takes frames apart.
#[derive(Debug, Default)]
pub(crate) struct FrameSplitter {
    header: [u8; HEADER_BYTES],
    header_length: usize,
    /// Of the frame that has begun: where it belongs, and how much of it is still to come.
    stream: Option<Stream>,
    missing: usize,
}

/// Where the content of frames goes.
pub(crate) trait Frames {
    /// Some of a stream's bytes.
    fn content(&mut self, stream: Stream, bytes: &[u8]);
}

impl FrameSplitter {
    /// Takes in bytes and hands out what they hold of each stream, at once: a frame may be larger than memory.
    ///
    /// # Errors
    /// They are not frames.
    pub fn push(&mut self, mut bytes: &[u8], each: &mut impl Frames) -> Result<(), String> {
        while !bytes.is_empty() {
            if let Some(stream) = self.stream {
                let (content, rest) = bytes.split_at(self.missing.min(bytes.len()));
                each.content(stream, content);
                self.missing -= content.len();
                bytes = rest;
                if self.missing > 0 {
                    return Ok(());
                }
                self.stream = None;
                continue;
            }
            let wanted = (HEADER_BYTES - self.header_length).min(bytes.len());
            self.header[self.header_length..self.header_length + wanted].copy_from_slice(&bytes[..wanted]);
            self.header_length += wanted;
            bytes = &bytes[wanted..];
            if self.header_length == HEADER_BYTES {
                self.begin()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        let [kind, zeros @ .., a, b, c, d] = self.header;
        let stream = match kind {
            0 | 1 => Stream::Stdout,
            2 => Stream::Stderr,
            // The daemon's own complaints.
            3 => Stream::System,
            _ => return Err(format!("the daemon sent output of an unknown kind ({kind})")),
        };
        if zeros != [0; 3] {
            return Err("the daemon sent output that is not in frames: has the container a terminal?".to_owned());
        }
        self.header_length = 0;
        self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
        // An empty frame has ended already.
        self.stream = (self.missing > 0).then_some(stream);
        Ok(())
    }

    /// Whether the stream may end here.
    pub fn is_between_frames(&self) -> bool {
        self.stream.is_none() && self.header_length == 0
    }
}

/// A frame, for tests.
#[cfg(test)]
pub(crate) fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 0, 0, 0], &size[..], content].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Kept(Vec<(Stream, Vec<u8>)>);

    impl Frames for Kept {
        fn content(&mut self, stream: Stream, bytes: &[u8]) {
            match self.0.last_mut() {
                Some((last, kept)) if *last == stream => kept.extend_from_slice(bytes),
                _ => self.0.push((stream, bytes.to_vec())),
            }
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_wherever_they_are_cut(
            frames in prop::collection::vec((1..=2_u8, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(1..20_usize, 1..40),
        ) {
            let sent: Vec<u8> = frames.iter().flat_map(|(kind, content)| frame(*kind, content)).collect();
            let mut expected = Kept::default();
            for (kind, content) in frames.iter().filter(|(_, content)| !content.is_empty()) {
                expected.content(if *kind == 1 { Stream::Stdout } else { Stream::Stderr }, content);
            }
            let (mut splitter, mut kept, mut rest) = (FrameSplitter::default(), Kept::default(), sent.as_slice());
            for cut in cuts.iter().cycle() {
                let (piece, others) = rest.split_at((*cut).min(rest.len()));
                splitter.push(piece, &mut kept).unwrap();
                rest = others;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(kept.0, expected.0);
            prop_assert!(splitter.is_between_frames());
        }

        #[test]
        fn whatever_comes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = FrameSplitter::default().push(&bytes, &mut Kept::default());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let told = |bytes: &[u8]| FrameSplitter::default().push(bytes, &mut Kept::default()).unwrap_err();
        assert!(told(b"hello world").contains("unknown kind (104)"));
        assert!(told(b"\x01 hello world").contains("not in frames"));
        let mut splitter = FrameSplitter::default();
        splitter.push(&frame(1, b"hello")[..10], &mut Kept::default()).unwrap();
        assert!(!splitter.is_between_frames());
    }
}
