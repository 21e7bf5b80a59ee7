//! Errors and the login, as pages.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::{Frame, show};
use crate::error::WebError;

/// An error shown as a page.
pub(crate) struct PageError(pub(crate) WebError);

/// Shorthand for results of pages.
pub(super) type PageResult<T = Response> = Result<T, PageError>;

impl<E: Into<WebError>> From<E> for PageError {
    fn from(error: E) -> PageError {
        PageError(error.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: StatusCode,
    error: WebError,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    message: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "confirm_login.html")]
struct ConfirmLoginPage<'a> {
    frame: Frame,
    link: &'a str,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let page = ErrorPage { frame: Frame::public(), status, error: self.0 };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => page.error.into_response(),
        }
    }
}

/// Says how to log in.
pub(crate) fn login_page(message: Option<&str>) -> Response {
    let page = LoginPage { frame: Frame::public(), message };
    (StatusCode::UNAUTHORIZED, Html(page.render().unwrap_or_else(|_| "log in with `flowctl login`".to_owned())))
        .into_response()
}

/// Asks whether this browser is the one to log in.
pub(crate) fn confirm_login_page(link: &str) -> Response {
    match show(&ConfirmLoginPage { frame: Frame::public(), link }) {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}
