//! `aftercall openapi`.

use std::process::ExitCode;

/// Print the API's OpenAPI document, which a server answers as `/openapi.json`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  aftercall openapi > openapi.json")]
pub struct Args {}

/// Prints the document.
///
/// # Errors
/// None that a terminal does not show.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&crate::web::openapi())?);
    Ok(ExitCode::SUCCESS)
}
