//! API tokens and login sessions: 256 random bits, of which only the SHA-256 is kept.

use base64::Engine;
use flow_model::Timestamp;
use flow_model::dag::hex;
use sha2::{Digest, Sha256};

use crate::connect::Store;
use crate::error::Result;
use crate::transaction::{step, steps};

/// The name under which one-time login links are kept.
const LOGIN_LINK: &str = "login-link";

impl Store {
    /// Makes a token and returns it: the only time that it can be seen.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_token(&self, now: Timestamp, name: &str, expires_at: Option<Timestamp>) -> Result<String> {
        let token = new_token();
        let hash = &hash(&token);
        self.transaction("create a token", |tx| {
            steps(async move {
                tx.query("insert into api_token (hash, name, created_at, expires_at) values ($1, $2, $3, $4)")
                    .bind(hash)
                    .bind(name)
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

    /// Makes a token that can be exchanged once for a session, for a link that is printed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_login_link(&self, now: Timestamp, expires_at: Timestamp) -> Result<String> {
        self.create_token(now, LOGIN_LINK, Some(expires_at)).await
    }

    /// The name of a valid token's owner. Login links are not valid here.
    ///
    /// # Errors
    /// The database failed.
    pub async fn check_token(&self, now: Timestamp, token: &str) -> Result<Option<String>> {
        let hash = hash(token);
        self.reading("check a token", |tx| {
            step(
                tx.query(
                    "select name from api_token
                     where hash = $1 and name <> $3 and (expires_at is null or expires_at > $2)",
                )
                .bind(&hash)
                .bind(now.as_micros())
                .bind(LOGIN_LINK)
                .optional_scalar(),
            )
        })
        .await
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
                let used = tx
                    .query("delete from api_token where hash = $1 and name = $2 and expires_at > $3")
                    .bind(used_hash)
                    .bind(LOGIN_LINK)
                    .bind(now.as_micros())
                    .execute()
                    .await?;
                Ok(if used == 1 {
                    tx.query("insert into api_token (hash, name, created_at, expires_at) values ($1, $2, $3, $4)")
                        .bind(session_hash)
                        .bind("admin")
                        .bind(now.as_micros())
                        .bind(session_expires_at.as_micros())
                        .execute()
                        .await?;
                    Some(session.clone())
                } else {
                    None
                })
            })
        })
        .await
    }

    /// Names, times of creation and of expiry of all tokens.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tokens(&self) -> Result<Vec<(String, Timestamp, Option<Timestamp>)>> {
        self.reading("list tokens", |tx| {
            steps(async move {
                Ok(tx
                    .query("select name, created_at, expires_at from api_token order by created_at, name")
                    .all::<(String, i64, Option<i64>)>()
                    .await?
                    .into_iter()
                    .map(|(name, created, expires)| {
                        (name, Timestamp::from_micros(created), expires.map(Timestamp::from_micros))
                    })
                    .collect())
            })
        })
        .await
    }

    /// Revokes all tokens of that name; returns how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_tokens(&self, name: &str) -> Result<u64> {
        self.transaction("revoke tokens", |tx| {
            step(tx.query("delete from api_token where name = $1").bind(name).execute())
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

fn new_token() -> String {
    let bytes: [u8; 32] = rand::random();
    format!("flow_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}
