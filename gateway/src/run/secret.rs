//! Secrets: from a file or from the environment, as every user of the machine sees command lines.

use std::path::Path;

use super::RunError;

/// The variable that has the token of a command that asks gateways.
pub(crate) const TOKEN: &str = "FOREMAP_TOKEN";

/// The secret called `what`: the text of `file`, without white space around it, or else of the environment variable `variable`;
/// `None` where there is neither.
///
/// # Errors
/// [`RunError`] for a file that cannot be read or is empty, or a variable that is not text. None of them tells the secret.
pub(crate) fn secret(what: &str, file: Option<&Path>, variable: &str) -> Result<Option<String>, RunError> {
    let (text, place) = match file {
        Some(file) => {
            let place = file.display().to_string();
            let text = std::fs::read_to_string(file);
            (text.map_err(|error| RunError::new(format!("{what} {place}: {error}")))?, place)
        }
        None => match std::env::var_os(variable).map(std::ffi::OsString::into_string) {
            None => return Ok(None),
            Some(Ok(text)) => (text, variable.to_owned()),
            Some(Err(_)) => return Err(RunError::new(format!("{what} {variable}: it is not UTF-8"))),
        },
    };
    match text.trim() {
        "" => Err(RunError::new(format!("{what} {place}: it is empty"))),
        text => Ok(Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_before_the_environment_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        // Cargo sets this one for every test.
        let variable = "CARGO_MANIFEST_DIR";
        let from = |file: Option<&Path>, variable: &str| secret("the token", file, variable).map_err(|f| f.to_string());
        assert_eq!(from(None, "FOREMAP_NOBODY_SETS_THIS"), Ok(None));
        assert!(from(None, variable).is_ok_and(|text| text.is_some_and(|text| text.ends_with("gateway"))));
        assert!(from(Some(&path), variable).is_err_and(|why| why.contains("secret")));
        std::fs::write(&path, "\n").expect("written");
        assert!(from(Some(&path), variable).is_err_and(|why| why.contains("empty")));
        std::fs::write(&path, " abc\n").expect("written");
        assert_eq!(from(Some(&path), variable), Ok(Some("abc".to_owned())));
    }
}
