//! The pods: who there is, in which namespace, with which container.

/// One container of one pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod {
    /// Its namespace.
    pub(super) namespace: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Its only container's name.
    pub(super) container: &'static str,
}

const fn pod(namespace: &'static str, name: &'static str, container: &'static str) -> Pod {
    Pod { namespace, name, container }
}

/// The edge of the shop.
pub(super) const EDGE: [Pod; 2] = [
    pod("shop", "frontend-6c9d7b5f4-2xkqp", "nginx"),
    pod("shop", "frontend-6c9d7b5f4-9mzvl", "nginx"),
];
/// What is for sale: JSON, Go's `slog`.
pub(super) const CATALOG: [Pod; 2] = [
    pod("shop", "catalog-7f8b9c6d5-4hjrt", "catalog"),
    pod("shop", "catalog-7f8b9c6d5-pw8dn", "catalog"),
];
/// Baskets: logfmt.
pub(super) const CART: [Pod; 2] =
    [pod("shop", "cart-5d4f6b7c8-kq2lx", "cart"), pod("shop", "cart-5d4f6b7c8-v7n9s", "cart")];
/// Orders: JSON with trace ids.
pub(super) const CHECKOUT: [Pod; 2] = [
    pod("shop", "checkout-84c7d9f6b-7gtmz", "checkout"),
    pod("shop", "checkout-84c7d9f6b-lw5qc", "checkout"),
];
/// What others bought: Python, with tracebacks; it restarts now and then.
pub(super) const RECOMMENDATIONS: Pod =
    pod("shop", "recommendations-6b8f5d9c7-x4bkw", "recommendations");
/// Payments: Java, with stack traces.
pub(super) const PAYMENTS: [Pod; 2] = [
    pod("payments", "payments-api-79c5b8d6f-h2vrk", "payments-api"),
    pod("payments", "payments-api-79c5b8d6f-s9xjm", "payments-api"),
];
/// Bookings after the fact: JSON.
pub(super) const BOOKINGS: Pod = pod("payments", "bookings-worker-5f7d8c9b6-dz6tp", "worker");
/// The payments' database.
pub(super) const POSTGRES: Pod = pod("payments", "postgres-0", "postgres");
/// The shop's cache.
pub(super) const REDIS: Pod = pod("platform", "redis-0", "redis");
/// Logins: logfmt.
pub(super) const AUTH: Pod = pod("platform", "auth-68d9f7c5b-8rnwq", "auth");
/// Mails: JSON, Node's `pino`.
pub(super) const MAILER: Pod = pod("platform", "mailer-7d6c8f9b5-tj3vx", "mailer");
/// The cluster's name server.
pub(super) const DNS: Pod = pod("kube-system", "coredns-5d78c9869d-6fwzk", "coredns");
/// The API server: klog.
pub(super) const API_SERVER: Pod = pod("kube-system", "kube-apiserver-node-1", "kube-apiserver");
/// The scheduler: klog.
pub(super) const SCHEDULER: Pod = pod("kube-system", "kube-scheduler-node-1", "kube-scheduler");
/// The node's own proxy: klog.
pub(super) const PROXY: Pod = pod("kube-system", "kube-proxy-q8xhd", "kube-proxy");
/// Hands on what the node's kernel and services say.
pub(super) const NODE: Pod = pod("kube-system", "node-logs-m4c7t", "node-logs");
