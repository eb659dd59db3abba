//! What happens in the shop: scenes, each of which makes several pods say something.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use anyhow::Result;
use rookery_core::time;

use super::cast::{self, Pod};
use super::files::{ContainerLog, Output};
use super::messages;
use super::random::Random;

/// All pods, their files, and what happens between them.
#[derive(Debug)]
pub(super) struct Stage {
    logs: Vec<(Pod, ContainerLog)>,
    random: Random,
    lines: u64,
    /// What is still to happen, by time, then by the order in which it was thought of: a checkout that waits 30 s for the
    /// database prints its error 30 s later, and other requests print in between.
    ahead: BinaryHeap<Reverse<(i64, u64, usize, Act)>>,
}

/// What a container does.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// It prints a line.
    Say(Output, String),
    /// It is ended and started again.
    Restart,
}

/// One request on its way through the shop.
struct Request {
    time: i64,
    trace: String,
    incident: bool,
}

const MS: i64 = 1_000_000;

impl Stage {
    /// Makes the folders of the pods.
    pub(super) fn open(directory: &Path, mut random: Random) -> Result<Self> {
        let singles = [
            cast::RECOMMENDATIONS,
            cast::BOOKINGS,
            cast::POSTGRES,
            cast::REDIS,
            cast::AUTH,
            cast::MAILER,
            cast::DNS,
            cast::API_SERVER,
            cast::SCHEDULER,
            cast::PROXY,
            cast::NODE,
        ];
        let pairs = [cast::EDGE, cast::CATALOG, cast::CART, cast::CHECKOUT, cast::PAYMENTS];
        let mut logs = Vec::new();
        for pod in pairs.into_iter().flatten().chain(singles) {
            logs.push((pod, ContainerLog::open(directory, &pod, &mut random)?));
        }
        Ok(Self { logs, random, lines: 0, ahead: BinaryHeap::new() })
    }

    /// Plays scenes between two times until at least `lines` lines are written; gives how many were.
    pub(super) fn play(
        &mut self,
        from: i64,
        to: i64,
        lines: u64,
        is_incident: impl Fn(i64) -> bool,
    ) -> Result<u64> {
        let before = self.lines;
        while self.lines - before < lines {
            let done = (self.lines - before) as i64;
            // Nothing in a computer happens at a whole millisecond.
            let noise = self.random.below(MS as u64) as i64;
            let time = (from + (to - from) / lines as i64 * done + noise).min(to);
            self.happen_until(time)?;
            let trace = self.random.trace_id();
            let request = Request { time, trace, incident: is_incident(time) };
            match self.random.below(100) {
                0..30 => self.browse(&request),
                30..45 => self.fill_cart(&request),
                45..62 => self.buy(&request),
                62..70 => self.log_in(&request),
                70..76 => self.recommend(&request),
                76..84 => self.data_stores(&request),
                _ => self.cluster(time),
            }
        }
        self.happen_until(to)?;
        Ok(self.lines - before)
    }

    /// Writes what is to happen until then.
    pub(super) fn happen_until(&mut self, time: i64) -> Result<()> {
        while self.ahead.peek().is_some_and(|Reverse((at, ..))| *at <= time) {
            let Some(Reverse((at, _, index, act))) = self.ahead.pop() else { break };
            match act {
                Act::Say(output, text) => self.logs[index].1.write(at, output, &text)?,
                Act::Restart => self.logs[index].1.restart()?,
            }
        }
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.logs.iter_mut().try_for_each(|(_, log)| log.flush())
    }

    fn say(&mut self, pod: &Pod, time: i64, output: Output, message: String) {
        self.lines += 1;
        self.act(pod, time, Act::Say(output, message));
    }

    fn act(&mut self, pod: &Pod, time: i64, act: Act) {
        let index = self.logs.iter().position(|(known, _)| known.name == pod.name);
        let index = index.expect("every pod of the cast is on the stage");
        self.ahead.push(Reverse((time, self.lines, index, act)));
    }

    fn one_of(&mut self, pods: &'static [Pod; 2]) -> &'static Pod {
        &pods[self.random.below(2) as usize]
    }

    fn edge(&mut self, request: &Request, line: &str, status: u16, took_ms: u64) {
        let pod = self.one_of(&cast::EDGE);
        let time = request.time + took_ms as i64 * MS;
        let access = messages::access(&mut self.random, time, line, status, took_ms);
        self.say(pod, time, Output::Standard, access);
    }

    fn browse(&mut self, request: &Request) {
        let product = messages::product(&mut self.random);
        let took = self.random.latency_ms(12);
        let rows = self.random.below(200);
        let pod = self.one_of(&cast::CATALOG);
        let span = self.random.span_id();
        let rest = format!(
            r#""trace_id":"{}","span_id":"{span}","product":"{product}","rows":{rows},"duration_ms":{took},"http":{{"method":"GET","status":200,"route":"/products/{{id}}"}}"#,
            request.trace
        );
        let (level, message) = match took {
            0..150 => ("INFO", "product served"),
            _ => ("WARN", "slow query: product served late"),
        };
        let line = messages::slog(request.time, level, message, &rest);
        self.say(pod, request.time, Output::Standard, line);
        if self.random.once_in(3_000) {
            self.dump(pod, request.time);
        }
        let status = if self.random.once_in(60) { 404 } else { 200 };
        self.edge(request, &format!("GET /products/{product}"), status, took + 2);
    }

    /// A message so long that the container runtime splits it.
    fn dump(&mut self, pod: &Pod, time: i64) {
        let entries: Vec<String> = (0..900)
            .map(|i| format!(r#"{{"id":{i},"stock":{}}}"#, self.random.below(500)))
            .collect();
        let rest = format!(r#""entries":[{}]"#, entries.join(","));
        let line = messages::slog(time, "DEBUG", "stock snapshot", &rest);
        self.say(pod, time, Output::Standard, line);
    }

    fn fill_cart(&mut self, request: &Request) {
        let (user, product) =
            (messages::user(&mut self.random), messages::product(&mut self.random));
        let took = self.random.latency_ms(8);
        let quantity = 1 + self.random.below(3);
        let rest = format!(
            "trace_id={} user={user} product={product} quantity={quantity} duration={took}ms",
            request.trace
        );
        let line = messages::logfmt(request.time, "info", "item added", &rest);
        let pod = self.one_of(&cast::CART);
        self.say(pod, request.time, Output::Standard, line);
        self.edge(request, "POST /api/cart", 201, took + 1);
    }

    fn buy(&mut self, request: &Request) {
        let fails = request.incident && !self.random.once_in(4);
        let user = messages::user(&mut self.random);
        let amount = 5 + self.random.below(400);
        let order = format!("ord-{:08x}", self.random.bits() as u32);
        let took = if fails { 30_000 + self.random.below(400) } else { self.random.latency_ms(90) };
        let span = self.random.span_id();
        let checkout = self.one_of(&cast::CHECKOUT);
        let common = format!(
            r#""trace_id":"{}","span_id":"{span}","order":"{order}","user":"{user}","amount":{{"value":{amount}.90,"currency":"EUR"}}"#,
            request.trace
        );
        let line = messages::slog(request.time, "INFO", "order received", &common);
        self.say(checkout, request.time, Output::Standard, line);
        self.authorise(request, &order, amount, fails, took);
        let end = request.time + took as i64 * MS;
        if fails {
            let rest = format!(
                r#"{common},"duration_ms":{took},"error":"payments-api: 503 Service Unavailable""#
            );
            let line = messages::slog(end, "ERROR", "payment failed, order not placed", &rest);
            self.say(checkout, end, Output::Error, line);
            let edge = self.one_of(&cast::EDGE);
            let line = messages::upstream_error(&mut self.random, end, "POST /api/checkout");
            self.say(edge, end, Output::Error, line);
            return self.edge(request, "POST /api/checkout", 502, took);
        }
        let line = messages::slog(
            end,
            "INFO",
            "order placed",
            &format!(r#"{common},"duration_ms":{took}"#),
        );
        self.say(checkout, end, Output::Standard, line);
        self.send_mail(end, user, &order);
        self.edge(request, "POST /api/checkout", 201, took + 3);
    }

    fn authorise(
        &mut self,
        request: &Request,
        order: &str,
        amount: u64,
        fails: bool,
        took_ms: u64,
    ) {
        let pod = self.one_of(&cast::PAYMENTS);
        let time = request.time + 4 * MS;
        let class = "e.payments.AuthorisationService";
        let text = format!("authorise {order} amount={amount}.90 EUR trace_id={}", request.trace);
        let line = messages::spring(&mut self.random, time, "INFO", class, text);
        self.say(pod, time, Output::Standard, line);
        if !fails {
            let rest = format!(
                r#""trace_id":"{}","order":"{order}","account":"4000","amount":{amount}.90"#,
                request.trace
            );
            let line = messages::slog(time + 9 * MS, "INFO", "booked", &rest);
            return self.say(&cast::BOOKINGS, time + 9 * MS, Output::Standard, line);
        }
        let line =
            messages::postgres(&mut self.random, time, "FATAL", "sorry, too many clients already");
        self.say(&cast::POSTGRES, time, Output::Error, line);
        let end = request.time + took_ms as i64 * MS;
        let text = format!("cannot authorise {order} trace_id={}", request.trace);
        let line = messages::spring(&mut self.random, end, "ERROR", class, text);
        self.say(pod, end, Output::Standard, line);
        for line in messages::no_connection(took_ms) {
            self.say(pod, end, Output::Standard, line);
        }
    }

    fn send_mail(&mut self, time: i64, user: &str, order: &str) {
        if self.random.once_in(50) {
            let rest = format!(
                r#""to":"{user}@mail.example","order":"{order}","code":"ETIMEDOUT","attempt":1"#
            );
            let line = messages::pino(time, 40, "mail not delivered, will retry", &rest);
            return self.say(&cast::MAILER, time, Output::Standard, line);
        }
        let rest = format!(r#""to":"{user}@mail.example","order":"{order}","template":"receipt""#);
        let line = messages::pino(time, 30, "mail sent", &rest);
        self.say(&cast::MAILER, time, Output::Standard, line);
    }

    fn log_in(&mut self, request: &Request) {
        let user = messages::user(&mut self.random);
        let address = messages::visitor(&mut self.random);
        let right = !self.random.once_in(12);
        let rest =
            format!("trace_id={} user={user} remote={address} method=password", request.trace);
        let (level, message, status) = if right {
            ("info", "login", 200)
        } else {
            ("warn", "login refused: wrong password", 401)
        };
        let line = messages::logfmt(request.time, level, message, &rest);
        self.say(&cast::AUTH, request.time, Output::Standard, line);
        let took = self.random.latency_ms(35);
        self.edge(request, "POST /api/login", status, took);
    }

    fn recommend(&mut self, request: &Request) {
        let pod = &cast::RECOMMENDATIONS;
        let product = messages::product(&mut self.random);
        if self.random.once_in(25) {
            let text = format!("no recommendations for {product}");
            self.say(
                pod,
                request.time,
                Output::Error,
                messages::python(request.time, "ERROR", text),
            );
            for line in messages::traceback(product) {
                self.say(pod, request.time, Output::Error, line);
            }
            return;
        }
        if self.random.once_in(900) {
            return self.out_of_memory(request.time);
        }
        let took = self.random.latency_ms(20);
        let text =
            format!("12 recommendations for {product} in {took} ms, trace_id={}", request.trace);
        self.say(pod, request.time, Output::Standard, messages::python(request.time, "INFO", text));
    }

    /// The kernel ends the container, and the kubelet starts it again: its next lines go to the next file.
    fn out_of_memory(&mut self, time: i64) {
        let text = format!(
            "{} node-1 kernel: Memory cgroup out of memory: Killed process {} (python3) total-vm:2104512kB, anon-rss:1048576kB, file-rss:0kB",
            time::rfc3339(time),
            20_000 + self.random.below(9_000)
        );
        self.say(&cast::NODE, time, Output::Standard, text);
        self.act(&cast::RECOMMENDATIONS, time, Act::Restart);
        let line = messages::python(
            time + 1_500 * MS,
            "INFO",
            "model loaded: 18432 products, 128 dimensions",
        );
        self.say(&cast::RECOMMENDATIONS, time + 1_500 * MS, Output::Standard, line);
    }

    fn data_stores(&mut self, request: &Request) {
        let time = request.time;
        match self.random.below(4) {
            0 => {
                let took = self.random.latency_ms(40);
                let text = format!(
                    "duration: {took}.{:03} ms  execute <unnamed>: INSERT INTO authorisations (id, order_id, amount) VALUES ($1, $2, $3)",
                    self.random.below(1_000)
                );
                let line = messages::postgres(&mut self.random, time, "LOG", text);
                self.say(&cast::POSTGRES, time, Output::Error, line);
            }
            1 => {
                let buffers = self.random.below(900);
                let text = format!(
                    "checkpoint complete: wrote {buffers} buffers ({:.1}%); 0 WAL file(s) added, 0 removed, 1 recycled",
                    buffers as f64 / 163.84
                );
                let line = messages::postgres(&mut self.random, time, "LOG", text);
                self.say(&cast::POSTGRES, time, Output::Error, line);
            }
            2 => {
                let text = format!(
                    "{} changes in 60 seconds. Saving...",
                    1_000 + self.random.below(9_000)
                );
                self.say(&cast::REDIS, time, Output::Standard, messages::redis(time, '*', text));
            }
            _ => self.say(
                &cast::REDIS,
                time,
                Output::Standard,
                messages::redis(time, '*', "Background saving terminated with success"),
            ),
        }
    }

    fn cluster(&mut self, time: i64) {
        match self.random.below(10) {
            0..4 => {
                let line = messages::dns(&mut self.random);
                self.say(&cast::DNS, time, Output::Standard, line);
            }
            4..6 => {
                let line = messages::node(&mut self.random, time);
                self.say(&cast::NODE, time, Output::Standard, line);
            }
            6..8 => {
                let took = self.random.latency_ms(15);
                let text = format!(
                    "\"HTTP\" verb=\"LIST\" URI=\"/api/v1/namespaces/shop/pods?limit=500\" latency=\"{took}ms\" userAgent=\"kubectl/v1.34\" audit-ID=\"{:016x}\" srcIP=\"10.42.0.1:50{:03}\" resp=200",
                    self.random.bits(),
                    self.random.below(1_000)
                );
                self.say(
                    &cast::API_SERVER,
                    time,
                    Output::Error,
                    messages::klog(time, 'I', "httplog.go:134", text),
                );
            }
            8 => {
                let text = "\"Successfully bound pod to node\" pod=\"shop/recommendations\" node=\"node-1\" evaluatedNodes=3 feasibleNodes=2";
                self.say(
                    &cast::SCHEDULER,
                    time,
                    Output::Error,
                    messages::klog(time, 'I', "schedule_one.go:286", text),
                );
            }
            _ => {
                let (level, text) = if self.random.once_in(8) {
                    (
                        'W',
                        "\"Can't list endpoint slices, will retry\" err=\"etcdserver: request timed out\"",
                    )
                } else {
                    ('I', "\"SyncProxyRules complete\" ipFamily=\"IPv4\" elapsed=\"38.2ms\"")
                };
                self.say(
                    &cast::PROXY,
                    time,
                    Output::Error,
                    messages::klog(time, level, "proxier.go:834", text),
                );
            }
        }
    }
}
