//! API tokens and login sessions: 256 random bits, of which only the SHA-256 is kept.

use base64::Engine;
use flow_model::dag::hex;
use flow_model::{Timestamp, TokenKind};
use sha2::{Digest, Sha256};

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::transaction::{step, steps};

/// Whose the sessions are that login links give.
const ADMIN: &str = "admin";

const INSERT: &str = "insert into api_token (hash, name, kind, created_at, expires_at) values ($1, $2, $3, $4, $5)";

/// What can be told about a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TokenRecord {
    /// Whose it is.
    pub name: String,
    /// What it is for.
    pub kind: TokenKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is valid; `None` is for ever.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// Makes a token for a script or a program, and returns it: the only time that it can be seen.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_token(&self, now: Timestamp, name: &str, expires_at: Option<Timestamp>) -> Result<String> {
        self.create_token_of(TokenKind::Api, now, name, expires_at).await
    }

    /// Makes the token of a standalone for commands on its machine, in place of the one before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_local_token(&self, now: Timestamp, name: &str) -> Result<String> {
        self.revoke_tokens(name, Some(TokenKind::Local)).await?;
        self.create_token_of(TokenKind::Local, now, name, None).await
    }

    /// Makes a token that can be exchanged once for a session, for a link that is printed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_login_link(&self, now: Timestamp, expires_at: Timestamp) -> Result<String> {
        self.create_token_of(TokenKind::LoginLink, now, ADMIN, Some(expires_at)).await
    }

    async fn create_token_of(
        &self,
        kind: TokenKind,
        now: Timestamp,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<String> {
        let token = new_token();
        let hash = &hash(&token);
        self.transaction("create a token", |tx| {
            steps(async move {
                tx.query(INSERT)
                    .bind(hash)
                    .bind(name)
                    .bind(kind.as_str())
                    .bind(now.as_micros())
                    .bind(expires_at.map(Timestamp::as_micros))
                    .execute()
                    .await?;
                Ok(())
            })
        })
        .await?;
        Ok(token)
    }

    /// The name of a valid token's owner, if it is of a kind that lets requests in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn check_token(&self, now: Timestamp, token: &str) -> Result<Option<String>> {
        let hash = &hash(token);
        let found: Option<(String, String)> = self
            .reading("check a token", |tx| {
                step(
                    tx.query(
                        "select name, kind from api_token where hash = $1 and (expires_at is null or expires_at > $2)",
                    )
                    .bind(hash)
                    .bind(now.as_micros())
                    .optional(),
                )
            })
            .await?;
        let Some((name, kind)) = found else { return Ok(None) };
        Ok(token_kind(&kind)?.lets_in().then_some(name))
    }

    /// Uses up a login link and returns the session's token.
    ///
    /// # Errors
    /// The database failed.
    pub async fn use_login_link(
        &self,
        now: Timestamp,
        link: &str,
        session_expires_at: Timestamp,
    ) -> Result<Option<String>> {
        let used_hash = &hash(link);
        let session = &new_token();
        let session_hash = &hash(session);
        self.transaction("use a login link", |tx| {
            steps(async move {
                let name: Option<String> = tx
                    .query("delete from api_token where hash = $1 and kind = $2 and expires_at > $3 returning name")
                    .bind(used_hash)
                    .bind(TokenKind::LoginLink.as_str())
                    .bind(now.as_micros())
                    .optional_scalar()
                    .await?;
                let Some(name) = name else { return Ok(None) };
                tx.query(INSERT)
                    .bind(session_hash)
                    .bind(&name)
                    .bind(TokenKind::Session.as_str())
                    .bind(now.as_micros())
                    .bind(session_expires_at.as_micros())
                    .execute()
                    .await?;
                Ok(Some(session.clone()))
            })
        })
        .await
    }

    /// What can be told about all tokens, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>> {
        let rows: Vec<(String, String, i64, Option<i64>)> = self
            .reading("list tokens", |tx| {
                step(
                    tx.query("select name, kind, created_at, expires_at from api_token order by created_at, name")
                        .all(),
                )
            })
            .await?;
        let record = |(name, kind, created_at, expires_at): (String, String, i64, Option<i64>)| {
            Ok(TokenRecord {
                name,
                kind: token_kind(&kind)?,
                created_at: Timestamp::from_micros(created_at),
                expires_at: expires_at.map(Timestamp::from_micros),
            })
        };
        rows.into_iter().map(record).collect()
    }

    /// Revokes all tokens of that name, or those of one kind; returns how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_tokens(&self, name: &str, kind: Option<TokenKind>) -> Result<u64> {
        self.transaction("revoke tokens", |tx| {
            step(
                tx.query("delete from api_token where name = $1 and kind = coalesce($2, kind)")
                    .bind(name)
                    .bind(kind.map(TokenKind::as_str))
                    .execute(),
            )
        })
        .await
    }

    /// Revokes one token (a logout).
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_token(&self, token: &str) -> Result<()> {
        let hash = &hash(token);
        self.transaction("revoke a token", |tx| {
            steps(async move {
                tx.query("delete from api_token where hash = $1").bind(hash).execute().await?;
                Ok(())
            })
        })
        .await
    }
}

fn token_kind(name: &str) -> Result<TokenKind> {
    name.parse().map_err(|why| StoreError::Corrupt { what: "kind of token", why })
}

fn new_token() -> String {
    let bytes: [u8; 32] = rand::random();
    format!("flow_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}
