//! Path and query of a request.
//!
//! An id in a path that is no id is answered exactly as one that does not exist; a query is read strictly.

use crate::{app::App, error::Error};
use alphagate_contract::problem::{Code, Problem};
use axum::{
    extract::{FromRequestParts, Path as RawPath},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The one id in the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr + Send> FromRequestParts<App> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let RawPath(text) =
            RawPath::<String>::from_request_parts(parts, app).await.map_err(|_| Code::NotFound)?;
        text.parse().map(Self).map_err(|_| Code::NotFound.into())
    }
}

/// Two ids in the path.
pub(crate) struct Ids<A, B>(pub(crate) A, pub(crate) B);

impl<A: FromStr + Send, B: FromStr + Send> FromRequestParts<App> for Ids<A, B> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let RawPath((first, second)) =
            RawPath::<(String, String)>::from_request_parts(parts, app).await.map_err(|_| Code::NotFound)?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Code::NotFound.into()),
        }
    }
}

/// The query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let text = parts.uri.query().unwrap_or_default();
        let invalid = |message: String| Error::from(Problem::new(Code::ParameterInvalid).message(message));
        if text.contains("%00") {
            return Err(invalid("The query must not contain the character NUL.".into()));
        }
        serde_urlencoded::from_str(text)
            .map(Self)
            .map_err(|error| invalid(format!("The query is wrong: {error}.")))
    }
}
