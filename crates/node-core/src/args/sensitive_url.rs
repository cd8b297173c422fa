use std::{fmt, str::FromStr};
use url::Url;

/// An HTTP(S) endpoint that prints as scheme, host and port only: user info, path and query often hold an API key.
#[derive(Clone, PartialEq, Eq)]
pub struct SensitiveUrl(Url);

impl SensitiveUrl {
    /// The whole URL, secrets included.
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// Replaces every occurrence of the URL, or of its secret parts, in `text`.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = text.replace(self.0.as_str(), &self.to_string());
        let path = self.0.path().trim_matches('/');
        for secret in
            [path, self.0.query().unwrap_or_default(), self.0.password().unwrap_or_default()]
        {
            // Short path parts ("v1") are no secrets and may be part of ordinary words.
            if secret.len() >= 8 {
                text = text.replace(secret, "<redacted>");
            }
        }
        text
    }
}

impl fmt::Display for SensitiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or("?"))?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        let secretive = self.0.path().len() > 1
            || self.0.query().is_some()
            || !self.0.username().is_empty()
            || self.0.password().is_some();
        if secretive { f.write_str("/<redacted>") } else { Ok(()) }
    }
}

impl fmt::Debug for SensitiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SensitiveUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(s).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("scheme `{}` is not supported, use http or https", url.scheme()));
        }
        Ok(Self(url))
    }
}

impl From<Url> for SensitiveUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        for (text, printed) in [
            ("http://localhost:8545", "http://localhost:8545"),
            ("https://user:pw@host:99/v2/KEY?x=1", "https://host:99/<redacted>"),
            ("https://user@host", "https://host/<redacted>"),
            ("https://:password@host", "https://host/<redacted>"),
            ("https://host/?key", "https://host/<redacted>"),
        ] {
            let url: SensitiveUrl = text.parse().unwrap();
            assert_eq!(format!("{url} {url:?}"), format!("{printed} {printed}"));
        }
        assert!("ftp://x".parse::<SensitiveUrl>().is_err());
    }

    #[test]
    fn secrets_are_removed_from_texts() {
        let url: SensitiveUrl =
            "https://user:hunter2hunter2@rpc.example/v2/abcdefgh12345678?key=zzzzzzzzzz"
                .parse()
                .unwrap();
        let text = format!("request to {} failed, password hunter2hunter2", url.expose());
        let scrubbed = url.scrub(&text);
        assert!(scrubbed.contains("rpc.example"), "{scrubbed}");
        for part in ["hunter2", "abcdefgh", "zzzz"] {
            assert!(!scrubbed.contains(part), "{scrubbed}");
        }
    }
}
