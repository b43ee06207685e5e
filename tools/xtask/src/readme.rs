//! The README's examples, run as they stand.
//!
//! A fenced block behind a line `<!-- runs in: node -->` (or `browser`, or
//! `worker`) is an example. Only the address of its origin is exchanged for
//! that of the node it is run against. What it says it prints (`// prints: …`)
//! is compared, line by line, with what it prints.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xtask::build;
use xtask::gateway::node_origins;
use xtask::process::{self, Scratch, Server};
use xtask::workspace::Workspace;

/// The origin that the examples name.
const ORIGIN: &str = "http://localhost:7400";
const MARK: &str = "<!-- runs in: ";
const PRINTS: &str = "// prints: ";

/// One example.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    runtime: String,
    code: String,
}

impl Example {
    fn expected_output(&self) -> Vec<&str> {
        self.code.lines().filter_map(|line| line.split_once(PRINTS)).map(|(_, printed)| printed.trim()).collect()
    }
}

/// Runs every example against a fresh node.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let path = workspace.path("README.md");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let examples = examples(&text)?;
    for runtime in ["node", "browser", "worker"] {
        ensure!(examples.iter().any(|example| example.runtime == runtime), "README.md has no example for {runtime}");
    }

    let scratch = Scratch::new()?;
    let mut command = Command::new(build::gateway(workspace)?);
    command
        .args(["dev", "--nodes", "1", "--port", "0", "--cors-origin", "http://localhost:*", "--store"])
        .arg(scratch.path("readme.redb"));
    let mut node = Server::start("the gateway", &mut command, &scratch.path("gateway.log"))?;
    let origins = node.wait_for(Duration::from_secs(30), |log| node_origins(log, 1))?;

    // Inside the checkout, so that the examples find the package as an application would.
    let folder = workspace.path("tests/output/readme");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    build::link_package(workspace, &folder)?;
    for (number, example) in (1..).zip(&examples) {
        run_example(workspace, &folder, example, number, &origins[0])
            .with_context(|| format!("README.md, example {number} ({})", example.runtime))?;
        println!("README example {number} ({}) ... ok", example.runtime);
    }
    Ok(())
}

fn run_example(workspace: &Workspace, folder: &Path, example: &Example, number: u32, origin: &str) -> Result<()> {
    let file = folder.join(format!("{number}-{}.mjs", example.runtime));
    std::fs::write(&file, example.code.replace(ORIGIN, origin))?;
    let mut command = build::node(workspace);
    command.arg("tools/xtask/readme.mjs").arg(&example.runtime).arg(&file);
    let output = process::run_quietly(&mut command)?;
    let (printed, expected) = (output.lines().map(str::trim_end).collect::<Vec<_>>(), example.expected_output());
    ensure!(printed == expected, "it printed\n{}\nand should print\n{}", printed.join("\n"), expected.join("\n"));
    Ok(())
}

fn examples(text: &str) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(runtime) = line.trim().strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        ensure!(lines.next().is_some_and(|line| line.starts_with("```js")), "`{line}` is not followed by a js block");
        let mut code = String::new();
        loop {
            match lines.next() {
                None => bail!("the block behind `{line}` is not closed"),
                Some("```") => break,
                Some(line) => code.extend([line, "\n"]),
            }
        }
        examples.push(Example { runtime: runtime.to_owned(), code });
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_examples() -> Result<()> {
        let text = "```js\nno();\n```\n<!-- runs in: node -->\n```js\nlog(1); // prints: 1\n\nlog(2); // prints: 2\n```\nend\n";
        let found = examples(text)?;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].runtime, "node");
        assert_eq!(found[0].expected_output(), ["1", "2"]);
        Ok(())
    }

    #[test]
    fn a_mark_without_a_closed_block_is_an_error() {
        assert!(examples("<!-- runs in: node -->\ntext").is_err());
        assert!(examples("<!-- runs in: node -->\n```js\ncode();").is_err());
    }
}
