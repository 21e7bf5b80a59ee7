//! Reading requests: like axum's extractors, but what does not fit is told in our error's shape.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use flow_model::outside::bytes_without_mark;
use serde::de::DeserializeOwned;

use crate::auth::{Principal, Session};
use crate::error::WebError;
use crate::texts::too_large;

/// A JSON body; an empty one reads as `{}`.
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            status => WebError::new(status, rejection.body_text().to_lowercase()),
        })?;
        let body: &[u8] = if bytes.is_empty() { b"{}" } else { bytes_without_mark(&bytes) };
        serde_json::from_slice(body).map(ApiJson).map_err(|error| {
            if error.is_data() {
                WebError::unprocessable(format!("the body does not fit: {error}"))
            } else {
                WebError::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))
            }
        })
    }
}

/// The query string; a name may be repeated for lists.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        axum_extra::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum_extra::extract::Query(query)| ApiQuery(query))
            .map_err(|rejection| WebError::unprocessable(format!("the query does not fit: {rejection}")))
    }
}

/// What the login has left in the request.
macro_rules! from_login {
    ($type:ident) => {
        impl<S: Send + Sync> FromRequestParts<S> for $type {
            type Rejection = WebError;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
                let nobody = || WebError::new(StatusCode::UNAUTHORIZED, "nobody is logged in");
                parts.extensions.get::<$type>().cloned().ok_or_else(nobody)
            }
        }
    };
}
from_login!(Principal);
from_login!(Session);
