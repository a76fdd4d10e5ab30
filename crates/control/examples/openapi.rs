//! Prints the description of the API: `cargo run -p cau-control --example openapi > docs/openapi.json`.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(&cau_control::openapi())?;
    writeln!(std::io::stdout(), "{text}")
}
