//! What a container and its worker hand each other as files. They need not share a file system, so it goes through the
//! daemon, as tar archives: a folder is put into the container before it starts, and fetched when it has ended.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flow_model::limits::ARTIFACT_ENTRIES_MAX;

/// The folder in the container.
pub(crate) const FOLDER: &str = "/flow";
/// Where the container leaves named XComs.
pub(crate) const XCOM_FILE: &str = "/flow/xcom";
/// Where it leaves files for people.
pub(crate) const ARTIFACTS: &str = "/flow/artifacts";

/// The folder as an archive for the container's root. Everybody may write there: the container may run as anybody.
pub(crate) fn folder_to_put() -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, kind, mode) in [
        (FOLDER, tar::EntryType::Directory, 0o777),
        (XCOM_FILE, tar::EntryType::Regular, 0o666),
        (ARTIFACTS, tar::EntryType::Directory, 0o777),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        archive.append_data(&mut header, path.trim_start_matches('/'), io::empty())?;
    }
    archive.into_inner()
}

/// Writes the regular files of an archive below a folder, without the archive's own first folder. Links and devices are
/// left out, and so is what would lie elsewhere.
pub(crate) fn unpack(archive: impl Read, into: &Path) -> io::Result<()> {
    for entry in tar::Archive::new(archive).entries()?.take(ARTIFACT_ENTRIES_MAX) {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(path) = below(&entry.path()?) else { continue };
        let path = into.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        io::copy(&mut entry, &mut std::fs::File::create(&path)?)?;
    }
    Ok(())
}

/// Writes the archive's one file. Nothing is written if it is none: a link, for instance.
pub(crate) fn unpack_file(archive: impl Read, to: &Path) -> io::Result<()> {
    if let Some(entry) = tar::Archive::new(archive).entries()?.next() {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            io::copy(&mut entry, &mut std::fs::File::create(to)?)?;
        }
    }
    Ok(())
}

/// The path without its first part; `None` for one that could lead out of a folder.
fn below(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    let is_harmless = |part: &Component<'_>| matches!(part, Component::Normal(_));
    parts.next().filter(is_harmless)?;
    let rest: Vec<Component<'_>> = parts.collect();
    (!rest.is_empty() && rest.iter().all(is_harmless)).then(|| rest.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with names as a hostile container would write them.
    fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn only_regular_files_come_out_and_only_below_the_folder() {
        use tar::EntryType::{Directory, Regular, Symlink};
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("artifacts");
        let hostile = archive(&[
            ("artifacts/", Directory, ""),
            ("artifacts/report.html", Regular, "<p>"),
            ("./artifacts/deep/down/a.txt", Regular, "a"),
            ("artifacts/passwd", Symlink, ""),
            ("artifacts/../../escaped", Regular, "x"),
            ("../escaped", Regular, "x"),
            ("/escaped", Regular, "x"),
            ("lonely", Regular, "x"),
        ]);
        unpack(hostile.as_slice(), &inner).unwrap();
        assert_eq!(files(outer.path()), ["artifacts/deep/down/a.txt", "artifacts/report.html"]);
        assert_eq!(std::fs::read_to_string(inner.join("report.html")).unwrap(), "<p>");
    }

    #[test]
    fn a_link_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("xcom");
        unpack_file(archive(&[("xcom", tar::EntryType::Symlink, "")]).as_slice(), &to).unwrap();
        assert!(!to.exists());
        unpack_file(archive(&[("xcom", tar::EntryType::Regular, "rows=3\n")]).as_slice(), &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "rows=3\n");
    }

    #[test]
    fn an_archive_that_is_cut_off_is_an_error() {
        let whole = archive(&[("artifacts/report.html", tar::EntryType::Regular, &"x".repeat(2_000))]);
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&whole[..1_000], folder.path()).is_err());
    }

    #[test]
    fn the_folder_that_is_put_is_open_to_everybody() {
        let put = folder_to_put().unwrap();
        let told: Vec<(String, u32)> = tar::Archive::new(put.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path().unwrap().to_string_lossy().into_owned(), entry.header().mode().unwrap()))
            .collect();
        let expected = [("flow", 0o777), ("flow/xcom", 0o666), ("flow/artifacts", 0o777)];
        assert_eq!(told, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
