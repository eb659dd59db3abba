//! Addresses beside the main one: OTLP over gRPC, syslog over TCP and UDP. Started together, stopped together.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use rookery_core::{Error, Result};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::otlp::grpc;
use crate::stats::Protocol;
use crate::{Receivers, syslog};

/// Listeners that run.
#[derive(Debug)]
pub struct Listeners {
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Receivers {
    /// Opens the configured addresses and takes what comes; without any, nothing happens.
    ///
    /// # Errors
    /// When an address cannot be opened, or one of syslog is open to others and nobody said who may send.
    pub async fn start_listeners(&self) -> Result<Listeners> {
        let config = &self.shared.config;
        config.syslog.check()?;
        let mut listeners =
            Listeners { stop: CancellationToken::new(), tasks: Vec::new(), addresses: Vec::new() };
        if let Some(listen) = config.otlp_grpc_listen {
            let listener = tcp("receiver.otlp_grpc_listen", listen).await?;
            let address = listener.local_addr().unwrap_or(listen);
            let door = self.door(Protocol::Otlp, address.ip().is_loopback());
            let stop = listeners.stop.clone();
            let task = serve_grpc(door, listener, stop.cancelled_owned());
            listeners.add("otlp grpc", address, task);
        }
        let door = self.door(Protocol::Syslog, true);
        if let Some(listen) = config.syslog.tcp {
            let listener = tcp("receiver.syslog.tcp", listen).await?;
            let address = listener.local_addr().unwrap_or(listen);
            let task = syslog::listen::tcp(door.clone(), listener, listeners.stop.clone());
            listeners.add("syslog tcp", address, task);
        }
        if let Some(listen) = config.syslog.udp {
            let socket = UdpSocket::bind(listen).await;
            let socket = socket.map_err(|e| unopened("receiver.syslog.udp", listen, e))?;
            let address = socket.local_addr().unwrap_or(listen);
            let task = syslog::listen::udp(door, socket, listeners.stop.clone());
            listeners.add("syslog udp", address, task);
        }
        Ok(listeners)
    }
}

async fn tcp(key: &str, listen: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|e| unopened(key, listen, e))
}

fn unopened(key: &str, listen: SocketAddr, error: std::io::Error) -> Error {
    Error::io(
        format!("listen on {listen} ({key}): choose another address, or stop who has it"),
        error,
    )
}

async fn serve_grpc(
    door: Door,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let routes = Router::new().route(grpc::PATH, post(grpc::export)).with_state(door);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the server of OTLP over gRPC failed");
    }
}

impl Listeners {
    fn add(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.addresses.push((name, address));
        self.tasks.push((name, tokio::spawn(task)));
    }

    /// What listens where.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Takes nothing more, and waits until what was taken is stored, or the time is up. The queue must still be open.
    pub async fn stop(self, limit: Duration) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + limit;
        for (name, mut task) in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!(
                    "{name} did not end within {limit:?}; what it took last is not stored"
                );
                task.abort();
            }
        }
    }
}
