//! The kit itself: each part starts, and each kind of fault does what it says.

mod kit {
    mod clickhouse;
    mod kafka;
    mod proxy;
    mod services;
}
