//! What people have done, in the transaction in which they did it.

use flow_model::Timestamp;

use crate::error::{Abort, Result};
use crate::transaction::Transaction;

/// Something that a person did to a thing. Values that may be secret never go into `detail`.
pub(crate) struct Deed<'a> {
    /// Who.
    pub principal: &'a str,
    /// What, as in `set_pool`.
    pub action: &'a str,
    /// To which thing.
    pub object: &'a str,
    /// In which way.
    pub detail: Option<&'a str>,
}

/// Writes a deed down.
pub(crate) async fn record(tx: &mut Transaction, now: Timestamp, deed: Deed<'_>) -> Result<(), Abort> {
    tx.query("insert into audit_log (at, principal, action, object, detail) values ($1, $2, $3, $4, $5)")
        .bind(now.as_micros())
        .bind(deed.principal)
        .bind(deed.action)
        .bind(deed.object)
        .bind(deed.detail)
        .execute()
        .await?;
    Ok(())
}
