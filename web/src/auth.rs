//! Who asks: a bearer token or a session cookie, both checked in the store at every request, so that a revoked token
//! is dead at once.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::Deserialize;

use crate::edge::Activity;
use crate::error::{WebError, is_api};
use crate::extract::ApiQuery;
use crate::pages;
use crate::peer::is_https;
use crate::shares::Share;
use crate::state::App;

/// The cookie that holds a session's token.
const COOKIE: &str = "flow_session";

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The name of the token with which somebody is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Principal(pub(crate) String);

/// The token that a request came with, and whose it is; streams look now and then whether it is still valid.
#[derive(Clone)]
pub(crate) struct Session {
    token: String,
    principal: String,
}

impl Session {
    /// Counts one more stream of the principal's, until the share is dropped.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(crate) fn open_stream(&self, app: &App) -> Result<Share, WebError> {
        let max = app.options.limits.streams_per_principal;
        app.streams.take(&self.principal, max).ok_or_else(|| {
            WebError::new(StatusCode::TOO_MANY_REQUESTS, format!("`{}` follows {max} streams already", self.principal))
                .hint("end one of them, or raise `web.streams_per_principal_max`")
        })
    }

    /// Returns when the token has been revoked or has expired. A store that is away ends nothing.
    pub(crate) async fn ended(&self, app: &App) {
        loop {
            tokio::time::sleep(CHECK_AGAIN_EVERY).await;
            if let Ok(None) = app.store.check_token(app.store.now(), &self.token).await {
                return;
            }
        }
    }
}

/// Somebody who is logged out loses open streams after this time.
const CHECK_AGAIN_EVERY: Duration = Duration::from_secs(30);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/login", get(offer_login).post(login)).route("/logout", post(logout))
}

/// Paths that everybody may see.
fn is_public(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/login") || path.starts_with("/assets/")
}

/// Lets nobody in without a valid token, except to public paths.
pub(crate) async fn require_login(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_public(path) {
        return next.run(request).await;
    }
    let is_api = is_api(path);
    let Some(token) = token(request.headers()) else { return refused(is_api) };
    match app.store.check_token(app.store.now(), &token).await {
        Ok(Some(principal)) => {
            let Some(_share) = app.requests.take(&principal, app.options.limits.requests_per_principal) else {
                return too_many(&app, &principal);
            };
            if let Some(activity) = request.extensions().get::<Activity>() {
                activity.is_of_somebody();
            }
            request.extensions_mut().insert(Principal(principal.clone()));
            request.extensions_mut().insert(Session { token, principal });
            next.run(request).await
        }
        Ok(None) => refused(is_api),
        Err(error) if is_api => WebError::from(error).into_response(),
        Err(error) => pages::PageError(error.into()).into_response(),
    }
}

fn too_many(app: &App, principal: &str) -> Response {
    let max = app.options.limits.requests_per_principal;
    let said = format!("{max} requests of `{principal}` are being answered already");
    let error = WebError::new(StatusCode::TOO_MANY_REQUESTS, said)
        .hint("ask again when one of them is answered, or raise `web.requests_per_principal_max`");
    let mut response = error.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn refused(is_api: bool) -> Response {
    let hint = "send `Authorization: Bearer <token>`; `flowctl tokens create <name>` makes one";
    let mut response = if is_api {
        WebError::new(StatusCode::UNAUTHORIZED, "this needs a valid token").hint(hint).into_response()
    } else {
        pages::login_page(None)
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// The token of a request: the header wins, so that a script is never taken for a browser's session.
fn token(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    CookieJar::from_headers(headers).get(COOKIE).map(|cookie| cookie.value().to_owned())
}

#[derive(Deserialize)]
struct Link {
    link: Option<String>,
}

/// What a login link leads to: a page with a button. Whatever only looks at the link, such as the preview of a mail
/// program, so does not use it up.
async fn offer_login(ApiQuery(Link { link }): ApiQuery<Link>) -> Response {
    match link {
        Some(link) => pages::confirm_login_page(&link),
        None => pages::login_page(None),
    }
}

/// What the button does.
async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    jar: CookieJar,
    Form(Link { link }): Form<Link>,
) -> Response {
    let Some(link) = link else { return pages::login_page(None) };
    let now = app.store.now();
    match app.store.use_login_link(now, &link, now + SESSION).await {
        Ok(Some(session)) => {
            let cookie = Cookie::build((COOKIE, session))
                .path("/")
                .http_only(true)
                .same_site(SameSite::Lax)
                .secure(is_https(&app.options, &extensions, &headers))
                .max_age(SESSION.try_into().expect("30 days are a short time"));
            (jar.add(cookie), Redirect::to("/")).into_response()
        }
        Ok(None) => pages::login_page(Some("This login link was used before, or has expired.")),
        Err(error) => pages::PageError(error.into()).into_response(),
    }
}

async fn logout(State(app): State<App>, headers: HeaderMap, jar: CookieJar) -> Response {
    if let Some(token) = token(&headers)
        && let Err(error) = app.store.revoke_token(&token).await
    {
        return pages::PageError(error.into()).into_response();
    }
    (jar.remove(Cookie::build((COOKIE, "")).path("/")), Redirect::to("/login")).into_response()
}
