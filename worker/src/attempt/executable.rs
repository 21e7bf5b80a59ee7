//! Why a program that exists cannot be started. The system says "no such file" of a script whose interpreter is missing.

use std::io::Read;
use std::path::Path;

/// Bytes of the beginning that are looked at; Linux reads no longer a first line than 255 bytes.
const HEAD_BYTES: u64 = 256;

/// What there is to say about a program besides the system's own words: what is wrong, and what to do.
pub(super) fn diagnosis(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    std::fs::File::open(program).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(line) = first.strip_prefix(b"#!") else {
        return (!head.starts_with(b"\x7fELF")).then(|| {
            "it is neither a program of this machine nor a script\nhint: begin a script with `#!` and its interpreter, for instance `#!/bin/sh`".to_owned()
        });
    };
    let line = String::from_utf8_lossy(line);
    if line.ends_with('\r') {
        return Some("its first line ends with a carriage return, which becomes a part of the interpreter's name\nhint: save it with Unix line ends".to_owned());
    }
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    (!Path::new(interpreter).exists()).then(|| {
        format!("its interpreter `{interpreter}` does not exist on this worker\nhint: install it there, or name another one in the first line")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        diagnosis(file.path()).unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_with_a_file() {
        assert!(said_of(b"#!/opt/none/python9 -u\n").contains("`/opt/none/python9` does not exist"));
        assert!(said_of(b"#!/bin/sh\r\necho\r\n").contains("carriage return"));
        assert!(said_of(b"echo hello\n").contains("`#!/bin/sh`"));
        assert!(said_of(b"").contains("neither a program"));
        assert_eq!(said_of(b"#!/bin/sh\necho\n"), "");
        assert_eq!(said_of(b"\x7fELF for another machine"), "");
    }
}
