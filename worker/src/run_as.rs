//! The user that tasks' processes run as, where that is not the worker's own.

use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Its name.
    pub name: String,
    /// Its home.
    pub home: String,
}

impl RunAs {
    /// Looks a user up by name or number in the text of `/etc/passwd`. `uid:gid` needs no entry there.
    ///
    /// # Errors
    /// In words: there is no such user, or it is root.
    pub fn find(user: &str, passwd: &str) -> Result<RunAs, String> {
        let found =
            passwd.lines().filter_map(RunAs::parse).find(|known| known.name == user || known.uid.to_string() == user);
        let numbers = user.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        let run_as = match (found, numbers) {
            (Some(found), _) => found,
            (None, Some((uid, gid))) => RunAs { uid, gid, name: uid.to_string(), home: "/".to_owned() },
            (None, None) => {
                return Err(format!(
                    "there is no user `{user}` in /etc/passwd; `uid:gid` in numbers needs no entry there"
                ));
            }
        };
        if run_as.uid == 0 {
            return Err(format!("`{user}` is root, from whom nothing can be kept"));
        }
        Ok(run_as)
    }

    fn parse(line: &str) -> Option<RunAs> {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (_about, home) = (fields.next()?, fields.next()?);
        Some(RunAs { uid, gid, name: name.to_owned(), home: home.to_owned() })
    }

    /// Gives the user a folder with everything in it. Symbolic links are not followed.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        lchown(path, Some(self.uid), Some(self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nnobody:x:65534:65533:nobody:/nonexistent:/bin/false\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let nobody = RunAs { uid: 65534, gid: 65533, name: "nobody".to_owned(), home: "/nonexistent".to_owned() };
        assert_eq!(RunAs::find("nobody", PASSWD), Ok(nobody.clone()));
        assert_eq!(RunAs::find("65534", PASSWD), Ok(nobody));
        assert_eq!(RunAs::find("1234:5678", PASSWD).map(|found| (found.uid, found.gid)), Ok((1234, 5678)));
        for (user, why) in
            [("somebody", "no user `somebody`"), ("root", "is root"), ("0:5", "is root"), ("", "no user")]
        {
            assert!(RunAs::find(user, PASSWD).unwrap_err().contains(why), "{user}");
        }
    }
}
