//! Certificates for a test: an authority, and what it signs, made by `openssl` into a folder of the test.
//!
//! They hold for two days, and their keys are not encrypted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What `openssl` reads in place of the system's configuration, so that a certificate has what is said here and nothing else.
const CONFIG: &str =
    "[req]\ndistinguished_name = name\n[name]\n[authority]\nbasicConstraints = critical, CA:TRUE\n";

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    /// Its own certificate, as PEM: what others are told to trust.
    pub certificate: PathBuf,
}

/// A certificate, and the key that proves it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// As PEM.
    pub certificate: PathBuf,
    /// As PEM, in PKCS#8.
    pub key: PathBuf,
}

impl Authority {
    /// An authority of its own, which nobody trusts yet; its files are in `folder`.
    ///
    /// # Errors
    /// When there is no `openssl`, or it fails.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("openssl.cnf"), CONFIG)?;
        let authority = Self { folder: folder.to_owned(), certificate: folder.join("ca.crt") };
        authority.request(
            "ca",
            &["-subj", "/CN=an authority of the tests", "-extensions", "authority"],
        )?;
        Ok(authority)
    }

    /// A certificate of this name for a host (`DNS:localhost`, `IP:127.0.0.1`), or for nobody's host.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn sign(&self, name: &str, host: Option<&str>) -> Result<Signed> {
        let subject = format!("/CN={name}");
        let host = host.map(|host| format!("subjectAltName={host}"));
        let mut arguments = vec!["-CA", "ca.crt", "-CAkey", "ca.key", "-subj", &subject];
        if let Some(host) = &host {
            arguments.extend(["-addext", host]);
        }
        self.request(name, &arguments)
    }

    /// Makes a key and a certificate.
    fn request(&self, name: &str, arguments: &[&str]) -> Result<Signed> {
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let signed = Signed { certificate: file("crt"), key: file("key") };
        let output = Command::new("openssl")
            .current_dir(&self.folder)
            .args(["req", "-x509", "-config", "openssl.cnf", "-days", "2", "-nodes"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .arg("-keyout")
            .arg(&signed.key)
            .arg("-out")
            .arg(&signed.certificate)
            .args(arguments)
            .output()
            .context("run openssl: is it installed?")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl makes no certificate for {name}: {errors}");
        Ok(signed)
    }
}
