//! What to do about what a daemon refuses. Its own words stand in front; these are for whoever has never seen them.

/// What helps with a refusal, if it is one of those that people meet.
pub(crate) fn advice(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    let says = |words: &str| message.contains(words);
    Some(if says("bind source path does not exist") {
        "create it on the daemon's machine, or mount a volume with type = \"volume\""
    } else if says("network") && says("not found") {
        "`docker network ls` on the daemon's machine lists the networks that there are"
    } else if says("unable to find user") || says("unable to find group") {
        "the image does not know that name: give `user` as numbers, for instance \"1000:1000\""
    } else if says("no command specified") {
        "the image does not say what to run: give the task a `command`"
    } else if says("executable file not found") || says("no such file or directory") {
        "is the program in the image? One line of shell is command = [\"sh\", \"-c\", \"...\"]"
    } else if says("permission denied") {
        "is the program marked as executable in the image, and may the `user` run it?"
    } else if says("no such host") || says("connection refused") || says("i/o timeout") || says("deadline exceeded") {
        "the daemon's machine does not reach the registry: check its network, or load the image there with `docker load`"
    } else if says("no space left") {
        "the daemon's disk is full: `docker system df` says by what"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_daemon_and_what_helps() {
        // As Docker 20.10 and 28 say them.
        let helps = |message: &str| advice(message).unwrap_or_default();
        let runc = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
        assert!(
            helps(&format!("{runc}exec: \"nonsense\": executable file not found in $PATH: unknown"))
                .contains("in the image?")
        );
        assert!(helps(&format!("{runc}exec: \"/run.sh\": permission denied: unknown")).contains("executable"));
        assert!(
            helps("invalid mount config for type \"bind\": bind source path does not exist: /a")
                .contains("type = \"volume\"")
        );
        assert!(helps("network nonet not found").contains("docker network ls"));
        assert!(helps("unable to find user ada: no matching entries in passwd file").contains("1000:1000"));
        assert!(helps("No command specified").contains("`command`"));
        assert!(
            helps("Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host")
                .contains("registry")
        );
        assert_eq!(advice("conflict: the name is in use"), None);
    }
}
