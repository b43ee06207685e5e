//! [`TokenKey`]: the secrets that tokens are signed and checked with, and their rotation.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::Sha256;
use tokio::sync::watch;

use super::hs256;

/// Time between two looks at a key file: a new secret counts this much later at the most.
const LOOK: Duration = Duration::from_secs(2);

/// Why key material cannot be used.
#[derive(Debug)]
pub enum TokenKeyError {
    /// The file cannot be read.
    Io(std::io::Error),
    /// Everybody on the machine can read it.
    Exposed,
    /// A secret has less than [`TokenKey::MIN_BYTES`] bytes.
    Short,
    /// There are more than [`TokenKey::MAX_SECRETS`] secrets.
    TooMany(usize),
}

impl fmt::Display for TokenKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Exposed => f.write_str("everybody on this machine can read it: chmod 600"),
            Self::Short => write!(f, "a token key has at least {} bytes on each line", TokenKey::MIN_BYTES),
            Self::TooMany(lines) => {
                write!(f, "a token key has one line, or two while it is replaced, and this one has {lines}")
            }
        }
    }
}

impl std::error::Error for TokenKeyError {}

/// One secret, ready for use.
pub(super) struct Secret {
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    bytes: Box<[u8]>,
}

impl Secret {
    fn new(bytes: &[u8]) -> Self {
        let (encoding, decoding) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        Self { encoding, decoding, bytes: bytes.into() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn mac(&self, purpose: &str, content: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.bytes).ok()?;
        Some(mac.chain_update(purpose).chain_update(content))
    }
}

/// The secrets of a fleet (HS256): the first one signs, each of them checks. Clones are one key: a change shows in all.
///
/// While a secret is replaced there are two. The new one is added as the second line of every key file, moved up to the first
/// once every process has it, and the old line is taken out when the last token that it signed has expired.
#[derive(Clone)]
pub struct TokenKey {
    secrets: Arc<watch::Sender<Arc<[Secret]>>>,
    /// The file that it was read from.
    path: Option<Arc<Path>>,
}

impl TokenKey {
    /// Shortest secret: as long as the hash (RFC 7518, 3.2).
    pub const MIN_BYTES: usize = 32;
    /// Most secrets at a time: the one in use, and the one before or after it.
    pub const MAX_SECRETS: usize = 2;

    /// Reads the key from a file that not everybody can read. A file of text has a secret on each line, and white space around it does not belong to it; the
    /// bytes of any other file, without white space around them, are one secret.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub fn read(path: &Path) -> Result<Self, TokenKeyError> {
        let key = Self::new(&content(path)?)?;
        Ok(Self { path: Some(path.into()), ..key })
    }

    /// The key with the content of such a file.
    ///
    /// # Errors
    /// [`TokenKeyError::Short`] or [`TokenKeyError::TooMany`].
    pub fn new(content: &[u8]) -> Result<Self, TokenKeyError> {
        hs256::install();
        Ok(Self { secrets: Arc::new(watch::Sender::new(secrets(content)?)), path: None })
    }

    /// Takes the content of a key file in place of what the key had; says whether that changed anything. What was signed with
    /// a secret that is no longer there is refused from now on.
    ///
    /// # Errors
    /// As [`TokenKey::new`]; then the key stays as it is.
    pub fn replace(&self, content: &[u8]) -> Result<bool, TokenKeyError> {
        let secrets = secrets(content)?;
        Ok(self.secrets.send_if_modified(|kept| {
            let is_new = !kept.iter().map(Secret::bytes).eq(secrets.iter().map(Secret::bytes));
            if is_new {
                *kept = secrets;
            }
            is_new
        }))
    }

    /// Follows the file that it was read from until `stop` becomes true. A file that is missing or no key changes nothing, and
    /// is told of once.
    pub async fn follow(self, mut stop: watch::Receiver<bool>) {
        let Some(path) = self.path.clone() else { return };
        let mut is_bad = false;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let replaced = content(&path).and_then(|bytes| self.replace(&bytes));
            match &replaced {
                Ok(true) => tracing::info!(path = %path.display(), secrets = self.current().len(), "a new token key"),
                Err(error) if !is_bad => {
                    tracing::error!(path = %path.display(), %error, "the token key cannot be read; the one before stays");
                }
                _ => {}
            }
            is_bad = replaced.is_err();
        }
    }

    /// A mark of `content` for `purpose` by the secret that signs: HMAC-SHA-256 over both.
    pub(crate) fn mark(&self, purpose: &str, content: &[u8]) -> Option<[u8; 32]> {
        Some(self.current().first()?.mac(purpose, content)?.finalize().into_bytes().into())
    }

    /// Which of the secrets made `mark`, compared in constant time; `None` where none of them did.
    pub(crate) fn marked(&self, purpose: &str, content: &[u8], mark: &[u8]) -> Option<usize> {
        let made = |secret: &Secret| secret.mac(purpose, content).is_some_and(|mac| mac.verify_slice(mark).is_ok());
        self.current().iter().position(made)
    }

    /// The secrets as they are now, the one that signs first.
    pub(super) fn current(&self) -> Arc<[Secret]> {
        self.secrets.borrow().clone()
    }
}

fn content(path: &Path) -> Result<Vec<u8>, TokenKeyError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(path).map_err(TokenKeyError::Io)?;
        if metadata.permissions().mode() & 0o007 != 0 {
            return Err(TokenKeyError::Exposed);
        }
    }
    std::fs::read(path).map_err(TokenKeyError::Io)
}

fn secrets(content: &[u8]) -> Result<Arc<[Secret]>, TokenKeyError> {
    let is_text = |text: &&str| !text.contains(|c: char| c.is_control() && !c.is_whitespace());
    let lines: Vec<&[u8]> = match std::str::from_utf8(content).ok().filter(is_text) {
        Some(text) => text.lines().map(|line| line.trim().as_bytes()).filter(|line| !line.is_empty()).collect(),
        None => vec![content.trim_ascii()],
    };
    if lines.len() > TokenKey::MAX_SECRETS {
        return Err(TokenKeyError::TooMany(lines.len()));
    }
    if lines.is_empty() || lines.iter().any(|line| line.len() < TokenKey::MIN_BYTES) {
        return Err(TokenKeyError::Short);
    }
    Ok(lines.into_iter().map(Secret::new).collect())
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
