//! No file of this repository imports another that imports it, directly or by way of others.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use foremap_layers::Imports;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// First file of every target of the workspace, relative to its root.
fn roots(workspace: &Path) -> Result<Vec<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.output()?.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo names no packages")?;
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let files = targets.filter_map(|target| target["src_path"].as_str());
    let mut files: Vec<String> = files.map(str::to_owned).collect();
    files.sort_unstable();
    Ok(files)
}

#[test]
fn no_file_imports_in_a_circle() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let mut circles = Vec::new();
    let roots = roots(&workspace)?;
    assert!(roots.len() > 30, "only {} targets were found", roots.len());
    for root in roots {
        for circle in Imports::read(Path::new(&root))?.circles() {
            let lines: Vec<_> =
                circle.iter().map(|line| line.replace(&format!("{}/", workspace.display()), "")).collect();
            circles.push(lines.join("\n"));
        }
    }
    circles.sort_unstable();
    circles.dedup();
    assert!(
        circles.is_empty(),
        "{} circles of files that import each other:\n\n{}",
        circles.len(),
        circles.join("\n\n")
    );
    Ok(())
}
