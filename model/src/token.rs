//! What a token may be used for.

use crate::state::named_enum;

named_enum!(
    /// What a token is for. Its name only says whose it is.
    TokenKind {
        /// Made for a script or a program: its requests carry it.
        Api = "api",
        /// A browser that is logged in: its cookie carries it.
        Session = "session",
        /// The token of a standalone for commands on its machine; made anew at each start.
        Local = "local",
        /// Exchanged once for a session; good for nothing else.
        LoginLink = "login_link",
    }
);

impl TokenKind {
    /// Whether a request that carries it is let in.
    pub const fn lets_in(self) -> bool {
        match self {
            TokenKind::Api | TokenKind::Session | TokenKind::Local => true,
            TokenKind::LoginLink => false,
        }
    }
}
