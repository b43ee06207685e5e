//! [`PlanCommand`]: asks a running gateway for the Partition Shifter's plan, and turns its switches.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, header};
use clap::Args;
use serde_json::json;

use super::RunError;
use super::operator::Operator;

/// Longest wait for the answer.
const TIME_OUT: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Options of `plan`.
#[derive(Args)]
pub struct PlanCommand {
    /// Origin of any gateway; http:// only.
    #[arg(long, value_name = "ORIGIN", default_value = "http://127.0.0.1:7400")]
    origin: String,
    /// File with a token that has the verb admin, where gateways check tokens. Alternatively the environment variable
    /// FOREMAP_TOKEN has it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Apply what would be done now, also where shifts are frozen or a dry run, and tell it.
    #[arg(long, group = "switch")]
    apply: bool,
    /// Apply no more plans from now on, whoever coordinates.
    #[arg(long, group = "switch")]
    freeze: bool,
    /// Apply plans again.
    #[arg(long, group = "switch")]
    unfreeze: bool,
}

/// Asks, and prints the answer.
///
/// # Errors
/// [`RunError`] where the gateway cannot be reached or refuses.
pub fn plan(options: &PlanCommand) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::new(format!("no runtime: {error}")))?;
    let text = runtime.block_on(ask(options))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).map_err(|error| RunError::new(error.to_string()))
}

async fn ask(options: &PlanCommand) -> Result<String, RunError> {
    let operator = Operator::at(&options.origin, options.token_file.as_deref())?;
    let origin = operator.origin;
    let frozen = |frozen: bool| Some(json!({ "frozen": frozen }).to_string());
    let (method, path, body) = match options {
        PlanCommand { apply: true, .. } => (Method::POST, "/v1/plan/apply", None),
        PlanCommand { freeze: true, .. } => (Method::POST, "/v1/shifter/freeze", frozen(true)),
        PlanCommand { unfreeze: true, .. } => (Method::POST, "/v1/shifter/freeze", frozen(false)),
        _ => (Method::GET, "/v1/plan", None),
    };
    let accept = if options.json { "application/json" } else { "text/plain" };
    let mut request = operator.request(path).method(method).header(header::ACCEPT, accept);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = operator.finish(request, Body::from(body.unwrap_or_default()))?;
    let answered = async {
        let response = operator.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER_BYTES).await;
        Ok((status, body.map_err(|error| error.to_string())?))
    };
    let answer = tokio::time::timeout(TIME_OUT, answered).await;
    let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TIME_OUT.as_secs())));
    let (status, body) = answer.map_err(|why| RunError::new(format!("{origin} does not answer: {why}")))?;
    if status.is_success() {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    Err(operator.refused(status, &body))
}
