//! Syslog over TCP and UDP: messages of RFC 5424 and RFC 3164, one record each.
//!
//! The header is read by [`rookery_core::syslog`]. Host and program are the stream; fields have the names that collected files give
//! them: `host`, `app`, `pid`, `msgid`, `facility`, `<id>.<name>` of structured data. The body is the message alone, or all of it
//! where there is no header. A time without a zone is in [`SyslogConfig::zone`]; one without a year is the latest that is not to come.
//!
//! Syslog has no answers. Over TCP nothing is read from a connection while what it sent before is not stored, so that a slow store holds
//! the sender up; over UDP, what does not fit a bounded queue is dropped and counted. Syslog has no tokens either: an
//! address that others reach needs a list of who may send.

mod frame;
pub(crate) mod listen;
mod network;

use std::net::{IpAddr, SocketAddr};

use rookery_core::zone::Zone;
use rookery_core::{Error, Result, Tenant, severity, syslog, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::network::Network;
use crate::document::Members;
use crate::draft::{Drafter, Record};

/// Addresses for syslog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyslogConfig {
    /// For TCP; messages end at a line's end or have their length before them, told apart message by message (RFC 6587).
    #[schemars(with = "Option<String>")]
    pub tcp: Option<SocketAddr>,
    /// For UDP; a packet is a message.
    #[schemars(with = "Option<String>")]
    pub udp: Option<SocketAddr>,
    /// Who may send, as addresses or networks: `10.0.0.0/8`. Needed where an address is not loopback; `0.0.0.0/0` is everybody.
    pub allow_from: Vec<Network>,
    /// The zone of times that name none. By default the zone of this machine.
    pub zone: Zone,
    /// Whose the records are.
    #[schemars(with = "String")]
    pub tenant: Tenant,
    /// The most connections that are open at a time; further ones are closed at once.
    pub connections: usize,
    /// The most packets of UDP that wait to be stored; further ones are dropped, and counted.
    pub packets_limit: usize,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self {
            tcp: None,
            udp: None,
            allow_from: Vec::new(),
            zone: Zone::default(),
            tenant: Tenant::default(),
            connections: 256,
            packets_limit: 10_000,
        }
    }
}

impl SyslogConfig {
    /// Whether an address may send.
    pub(crate) fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if self.allow_from.is_empty() {
            peer.is_loopback()
        } else {
            self.allow_from.iter().any(|n| n.has(peer))
        }
    }

    /// # Errors
    /// `invalid` when an address is open to others and nobody said who they are.
    pub(crate) fn check(&self) -> Result<()> {
        let open = |address: &SocketAddr| !address.ip().is_loopback();
        match [self.tcp, self.udp].into_iter().flatten().find(open) {
            Some(address) if self.allow_from.is_empty() => Err(Error::invalid(format!(
                "others reach the address {address}, and syslog has no tokens: say who may send in receiver.syslog.allow_from \
                 (10.0.0.0/8, or 0.0.0.0/0 for everybody)"
            ))),
            _ => Ok(()),
        }
    }
}

/// Makes records of messages; buffers are used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    members: Members,
}

impl Reader {
    /// Adds the record of a message. `cut` says that its end is missing.
    pub(crate) fn add(
        &mut self,
        raw: &[u8],
        cut: bool,
        peer: IpAddr,
        zone: &Zone,
        drafter: &mut Drafter,
    ) -> Result<()> {
        let text = String::from_utf8_lossy(raw);
        let text = text.trim_end_matches(['\n', '\r', '\0']);
        if text.is_empty() {
            return Ok(());
        }
        let now = drafter.observed;
        let members = &mut self.members;
        members.clear();
        syslog::read(text, zone.offset_at(now), now, &mut |name, value| {
            let value = if value == "-" { "" } else { value };
            match name {
                "hostname" => members.put("host", value),
                "app_name" => members.put("app", value),
                "proc_id" => members.put("pid", value),
                "msg_id" => members.put("msgid", value),
                "facility_keyword" => members.put("facility", value),
                "timestamp" | "message" | "severity" => members.put(name, value),
                "level" | "priority" | "facility" | "format" => {}
                _ => members.put(name, value),
            }
        });
        if !peer.is_unspecified() && members.get("host").unwrap_or("").is_empty() {
            members.put("host", &peer.to_canonical().to_string());
        }
        let get =
            |name: &str| members.pairs().find(|(n, v)| *n == name && !v.is_empty()).map(|p| p.1);
        let (host, app) = (get("host").unwrap_or(""), get("app").unwrap_or(""));
        let key = format!("{}:{host}{app}", host.len());
        let labels =
            || vec![("host".to_owned(), host.to_owned()), ("app".to_owned(), app.to_owned())];
        let body =
            get("message").map_or(text, |text| text.strip_prefix('\u{feff}').unwrap_or(text));
        let code = get("severity").and_then(|code| code.parse().ok());
        let stamp = get("timestamp").and_then(|text| time::parse_time(text, now).ok());
        let record = Record {
            stream: drafter.stream(key.as_bytes(), labels),
            time: stamp.map(|span| span.start),
            body,
            severity: code.map_or(0, severity::of_syslog),
            trace_id: None,
            span_id: None,
            bytes: raw.len() as u64,
        };
        let added = drafter.add(&record, |fields| {
            for (name, value) in members.pairs() {
                if !matches!(name, "timestamp" | "message" | "severity") {
                    fields.put(name, value);
                }
            }
            if cut {
                fields.put("truncated", "true");
            }
        })?;
        added.or_else(|why| drafter.refuse(0, why))
    }
}

/// Makes records of all messages in some bytes, which nobody sent over a connection.
pub(crate) fn read(bytes: &[u8], zone: &Zone, limit: usize, drafter: &mut Drafter) -> Result<()> {
    let nobody = IpAddr::from([0, 0, 0, 0]);
    let mut framer = frame::Framer::default();
    let mut reader = Reader::default();
    framer.push(bytes);
    while let Some((message, cut)) = framer.next(limit, true) {
        reader.add(message, cut, nobody, zone, drafter)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Limits, Owner};
    use crate::tests::{Seen, seen};
    use rookery_core::units::Bytes as Size;

    fn read(text: &str) -> Seen {
        let owner =
            Owner { tenant: Tenant::default(), identity: vec!["syslog".into()], source: "syslog" };
        let limits = Limits { line: Size(1000), records: 10, fields: 100, refusals: 1 };
        let now = time::parse_time("2026-02-10T00:00:00Z", 0).unwrap().start;
        let mut drafter = Drafter::new(owner, limits, now);
        let peer = "::ffff:10.0.0.9".parse().unwrap();
        let zone = Zone::new("+02:00").unwrap();
        Reader::default().add(text.as_bytes(), false, peer, &zone, &mut drafter).unwrap();
        let draft = drafter.finish().unwrap().drafts.remove(0);
        let start = |_| Default::default();
        seen(&draft.batch(&Tenant::default(), "r".into(), start).unwrap()).remove(0)
    }

    #[test]
    fn both_formats_have_the_fields_of_collected_files() {
        let new = read(
            "<165>1 2026-02-03T17:42:32.5Z web-1 app 12 ID47 [ex@1 iut=\"3\"] \u{feff}the message\n",
        );
        assert_eq!((new.body.as_str(), new.severity), ("the message", 10));
        assert_eq!(time::rfc3339(new.time), "2026-02-03T17:42:32.500Z");
        assert_eq!(new.tags, r#"{app="app",host="web-1"}"#);
        assert_eq!((new.column("source"), new.column("node")), ("syslog", "web-1"));
        for (name, value) in
            [("facility", "local4"), ("pid", "12"), ("msgid", "ID47"), ("ex@1.iut", "3")]
        {
            assert_eq!(new.field(name), Some(value));
        }
        let old = read("<11>Feb  3 12:08:33 db-1 sshd[7]: Accepted password");
        assert_eq!((old.body.as_str(), old.severity), ("Accepted password", 17));
        assert_eq!(
            time::rfc3339(old.time),
            "2026-02-03T10:08:33Z",
            "local time is two hours ahead"
        );
        assert_eq!(
            (old.field("host"), old.field("app"), old.field("pid")),
            (Some("db-1"), Some("sshd"), Some("7"))
        );
    }

    #[test]
    fn what_is_no_syslog_is_kept_whole_with_its_sender() {
        let bare = read("something happened");
        assert_eq!(
            (bare.body.as_str(), bare.field("host")),
            ("something happened", Some("10.0.0.9"))
        );
        let empty = read("<165>1 - - - - - -");
        assert_eq!(
            (empty.body.as_str(), empty.field("host")),
            ("<165>1 - - - - - -", Some("10.0.0.9"))
        );
        assert_eq!(time::rfc3339(empty.time), "2026-02-10T00:00:00Z");
    }

    #[test]
    fn an_open_address_needs_a_list_of_who_may_send() {
        let open =
            SyslogConfig { udp: Some("0.0.0.0:0".parse().unwrap()), ..SyslogConfig::default() };
        assert!(open.check().unwrap_err().message().contains("allow_from"));
        let listed = SyslogConfig { allow_from: vec!["10.0.0.0/8".parse().unwrap()], ..open };
        assert!(listed.check().is_ok());
        assert!(listed.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!listed.admits("127.0.0.1".parse().unwrap()));
    }
}
