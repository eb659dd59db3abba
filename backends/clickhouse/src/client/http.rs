//! The connections below statements; with the feature `tls` also those of `https`, which trust the system's authorities or the one of
//! `clickhouse.ca_file`.

use rookery_core::Result;

use crate::config::ClickHouseConfig;

#[cfg(not(feature = "tls"))]
pub(super) fn client(_config: &ClickHouseConfig) -> Result<clickhouse::Client> {
    Ok(clickhouse::Client::default())
}

#[cfg(feature = "tls")]
pub(super) fn client(config: &ClickHouseConfig) -> Result<clickhouse::Client> {
    if config.url.starts_with("https://") {
        tls::client(config.ca_file.as_deref())
    } else {
        Ok(clickhouse::Client::default())
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;
    use rookery_core::{Error, Result};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, RootCertStore};

    /// As the client without TLS has them: below the 3 s after which a server closes a connection that is not used.
    const POOL_IDLE: Duration = Duration::from_secs(2);
    const KEEPALIVE: Duration = Duration::from_secs(60);

    pub(super) fn client(ca_file: Option<&Path>) -> Result<clickhouse::Client> {
        let mut connector = HttpConnector::new();
        connector.set_keepalive(Some(KEEPALIVE));
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust(ca_file)?)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let http =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(POOL_IDLE).build(connector);
        Ok(clickhouse::Client::with_http_client(http))
    }

    fn trust(ca_file: Option<&Path>) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("TLS has no versions").because(e))?;
        let builder = match ca_file {
            Some(path) => builder.with_root_certificates(authorities(path)?),
            None => builder.with_native_roots().map_err(|e| {
                Error::io("find the system's authorities: install ca-certificates, or name one in clickhouse.ca_file", e)
            })?,
        };
        Ok(builder.with_no_client_auth())
    }

    /// The authorities of a file in PEM.
    fn authorities(path: &Path) -> Result<RootCertStore> {
        let wrong =
            |what: &str| Error::invalid(format!("clickhouse.ca_file {}: {what}", path.display()));
        let read = |e| wrong("it cannot be read as certificates in PEM").because(e);
        let mut authorities = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
            let certificate = certificate.map_err(read)?;
            authorities.add(certificate).map_err(|e| wrong("a certificate is none").because(e))?;
        }
        if authorities.is_empty() {
            return Err(wrong("it holds no certificate"));
        }
        Ok(authorities)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_file_without_an_authority_is_refused_by_its_key() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ca.crt");
            for text in [
                None,
                Some(""),
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ] {
                if let Some(text) = text {
                    std::fs::write(&path, text).unwrap();
                }
                let error = client(Some(&path)).err().unwrap().to_string();
                assert!(error.contains("clickhouse.ca_file"), "{error}");
            }
        }
    }
}
