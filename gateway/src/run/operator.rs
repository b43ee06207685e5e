//! Common part of the commands that ask a running gateway.

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode, header, request};
use foremap::protocol::Problem;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::RunError;
use super::secret::{TOKEN, secret};
use crate::host::reachable;

/// A gateway as an operator asks it, with the operator's token.
pub(super) struct Operator<'a> {
    pub(super) origin: &'a str,
    token: Option<String>,
    pub(super) client: Client<HttpConnector, Body>,
}

impl<'a> Operator<'a> {
    /// One who asks the gateway at `origin` with the token in `token_file`, or in the environment.
    ///
    /// # Errors
    /// [`RunError`] for an origin that is not of http://, or a token that cannot be read.
    pub(super) fn at(origin: &'a str, token_file: Option<&Path>) -> Result<Self, RunError> {
        let origin = reachable(origin)
            .ok_or_else(|| RunError::new(format!("`{}` is no origin of http://", origin.trim_end_matches('/'))))?;
        let token = secret("the token", token_file, TOKEN)?;
        Ok(Self { origin, token, client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()) })
    }

    /// A request for `path`.
    pub(super) fn request(&self, path: &str) -> request::Builder {
        let request = Request::builder().uri(format!("{}{path}", self.origin));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// `request` with its body.
    ///
    /// # Errors
    /// [`RunError`] for an origin that is none.
    pub(super) fn finish(&self, request: request::Builder, body: Body) -> Result<Request<Body>, RunError> {
        request.body(body).map_err(|error| RunError::new(format!("`{}`: {error}", self.origin)))
    }

    /// That the gateway refuses, and why it says that it does.
    pub(super) fn refused(&self, status: StatusCode, body: &[u8]) -> RunError {
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let why = problem.map_or_else(|| status.to_string(), |problem| format!("{}: {}", problem.code, problem.detail));
        RunError::new(format!("{} refuses: {why}", self.origin))
    }
}
