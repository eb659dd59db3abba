//! A network between two processes that does what networks do: a TCP proxy whose connections can be cut, held, delayed and narrowed,
//! each direction for itself.
//!
//! | fault | what the two ends see |
//! |---|---|
//! | [`Proxy::reset`] | every open connection ends with a reset (RST); new ones pass |
//! | [`Proxy::cut`] | the same, and every new connection is reset too, until [`Proxy::pass`] |
//! | [`Proxy::hold`] | a black hole: connections stay open, no byte and no end passes; what is sent fills the buffers and then waits |
//! | [`Proxy::delay`] | each byte arrives so much later; the rate is not less |
//! | [`Proxy::limit`] | so many bytes a second |
//!
//! One difference from a real black hole: a new connection is accepted (by the kernel of this machine) while bytes are held, and
//! then nothing is heard on it. Nothing is ever lost or changed: after [`Proxy::pass`] all that was held goes on.
//!
//! It runs on one thread of its own. What it holds of a direction is bounded ([`HELD_BYTES`]); the rest stays with the sender.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How much of one direction of one connection the proxy keeps while it is held or delayed.
const HELD_BYTES: usize = 1 << 20;

/// How much is read at once.
const PIECE_BYTES: usize = 1 << 14;

/// A limited direction moves so often a second.
const MOVES_PER_SECOND: u64 = 50;

/// A time that does not come.
const FAR: Duration = Duration::from_secs(86_400);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who connected to the server.
    ToServer,
    /// From the server to who connected.
    ToClient,
    /// Either.
    Both,
}

/// What is done to one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    is_held: bool,
    delay: Duration,
    bytes_per_second: Option<u64>,
}

/// What is done to all connections.
#[derive(Debug, Clone, Default)]
struct State {
    flows: [Flow; 2],
    is_cut: bool,
    /// Connections that began under an earlier number are reset.
    resets: u64,
    is_closed: bool,
}

/// What passed.
#[derive(Debug, Default)]
struct Counters {
    connections: AtomicUsize,
    bytes: [AtomicU64; 2],
}

/// A proxy in front of one server; it ends, and its connections with it, when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at a free port of this machine and passes everything to `server`.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn to(server: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("bind")?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State::default());
        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        let serving = move || runtime.block_on(accept(listener, server, watched, counted));
        let thread = thread::Builder::new().name("proxy".into()).spawn(serving)?;
        Ok(Self { address, state, counters, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Undoes every fault.
    pub fn pass(&self) {
        self.state.send_modify(|state| {
            state.flows = Default::default();
            state.is_cut = false;
        });
    }

    /// Resets the open connections; new ones pass.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// Resets the open connections, and every new one.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.resets += 1;
            state.is_cut = true;
        });
    }

    /// From now on nothing passes; connections stay open.
    pub fn hold(&self, direction: Direction) {
        self.change(direction, |flow| flow.is_held = true);
    }

    /// What is read from now on arrives so much later.
    pub fn delay(&self, direction: Direction, by: Duration) {
        self.change(direction, |flow| flow.delay = by);
    }

    /// At most so many bytes a second, of each connection.
    pub fn limit(&self, direction: Direction, bytes_per_second: u64) {
        self.change(direction, |flow| flow.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::SeqCst)
    }

    /// How many bytes have passed.
    pub fn passed(&self, direction: Direction) -> u64 {
        let of = |index: usize| self.counters.bytes[index].load(Ordering::SeqCst);
        match direction {
            Direction::ToServer => of(0),
            Direction::ToClient => of(1),
            Direction::Both => of(0) + of(1),
        }
    }

    /// When this returns, it is in force: a byte is passed under the lock of the state.
    fn change(&self, direction: Direction, change: impl Fn(&mut Flow)) {
        self.state.send_modify(|state| {
            if direction != Direction::ToClient {
                change(&mut state.flows[0]);
            }
            if direction != Direction::ToServer {
                change(&mut state.flows[1]);
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.is_closed = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts until the proxy is dropped; its connections end with the runtime.
async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    state: watch::Receiver<State>,
    counters: Arc<Counters>,
) {
    let mut closing = state.clone();
    loop {
        tokio::select! {
            _ = closing.wait_for(|state| state.is_closed) => return,
            accepted = listener.accept() => {
                // An accept that failed concerns a client that is gone already.
                if let Ok((client, _)) = accepted {
                    tokio::spawn(serve(client, server, state.clone(), counters.clone()));
                }
            }
        };
    }
}

/// One connection, to its end or until it is reset.
async fn serve(
    mut client: TcpStream,
    address: SocketAddr,
    state: watch::Receiver<State>,
    counters: Arc<Counters>,
) {
    let began = state.borrow().resets;
    let mut server = None;
    let mut cutting = state.clone();
    counters.connections.fetch_add(1, Ordering::SeqCst);
    let was_reset = {
        let mut flows = state.clone();
        let passing = async {
            // A black hole does not reach the server.
            let reachable = |s: &State| !s.flows.iter().any(|flow| flow.is_held);
            flows.wait_for(reachable).await.map_err(|_| ErrorKind::NotConnected)?;
            let server = server.insert(TcpStream::connect(address).await?);
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let ((from_client, to_client), (from_server, to_server)) =
                (client.split(), server.split());
            tokio::try_join!(
                pump(from_client, to_server, 0, state.clone(), &counters),
                pump(from_server, to_client, 1, state.clone(), &counters),
            )
        };
        let is_over = |state: &State| state.is_cut || state.resets != began;
        tokio::select! {
            _ = cutting.wait_for(is_over) => true,
            ended = passing => ended.is_err(),
        }
    };
    for stream in [Some(client), server].into_iter().flatten().filter(|_| was_reset) {
        // Dropped with bytes unsent and no time to send them: that is a reset.
        let _ = stream.set_zero_linger();
    }
    counters.connections.fetch_sub(1, Ordering::SeqCst);
}

/// Passes one direction on, until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    index: usize,
    mut state: watch::Receiver<State>,
    counters: &Counters,
) -> std::io::Result<()> {
    let mut queue = Queue::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let flow = state.borrow_and_update().flows[index];
        let may_read = queue.end.is_none() && queue.bytes < HELD_BYTES;
        let due = queue.due().filter(|_| !flow.is_held);
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return Ok(()) },
            read = from.read(&mut piece), if may_read => {
                queue.push(read.map(|bytes| &piece[..bytes]), flow.delay);
            }
            () = sleep_until(due.unwrap_or_else(|| Instant::now() + FAR)), if due.is_some() => {
                if queue.pieces.is_empty() {
                    return match queue.end.take() {
                        Some((_, End::Reset(error))) => Err(error),
                        _ => to.shutdown().await,
                    };
                }
                to.writable().await?;
                let written = write(&mut queue, &to, index, &state)?;
                counters.bytes[index].fetch_add(written, Ordering::SeqCst);
            }
        }
    }
}

/// Writes what can be written now, unless the direction was held meanwhile. The state is locked, so that no byte passes after
/// a fault has been set.
fn write(
    queue: &mut Queue,
    to: &WriteHalf<'_>,
    index: usize,
    state: &watch::Receiver<State>,
) -> std::io::Result<u64> {
    let state = state.borrow();
    let flow = state.flows[index];
    let Some((_, piece)) = queue.pieces.front().filter(|_| !flow.is_held) else { return Ok(0) };
    let most = flow.bytes_per_second.map_or(piece.len(), |rate| {
        usize::try_from((rate / MOVES_PER_SECOND).max(1)).unwrap_or(usize::MAX)
    });
    match to.try_write(&piece[..most.min(piece.len())]) {
        Ok(written) => {
            queue.take(written);
            if let Some(rate) = flow.bytes_per_second {
                let time = Duration::from_secs_f64(written as f64 / rate as f64);
                queue.not_before =
                    Some(Instant::now().max(queue.not_before.unwrap_or(Instant::now())) + time);
            }
            Ok(written as u64)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

/// How a direction ended: an end is held and delayed as bytes are.
enum End {
    /// With all that was sent.
    Orderly,
    /// By a reset, which the other side is to see too.
    Reset(std::io::Error),
}

/// What was read and not yet written.
#[derive(Default)]
struct Queue {
    /// When each may pass, and its bytes; none is empty.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    end: Option<(Instant, End)>,
    /// A limited rate has to wait so long.
    not_before: Option<Instant>,
}

impl Queue {
    /// Adds what a read gave.
    fn push(&mut self, read: std::io::Result<&[u8]>, delay: Duration) {
        let due = Instant::now() + delay;
        match read {
            Ok([]) => self.end = Some((due, End::Orderly)),
            Ok(piece) => {
                self.bytes += piece.len();
                self.pieces.push_back((due, piece.to_vec()));
            }
            Err(error) => self.end = Some((due, End::Reset(error))),
        }
    }

    /// When the next piece, or the end after the last, may pass.
    fn due(&self) -> Option<Instant> {
        let piece = self.pieces.front().map(|(due, _)| *due);
        let due = piece.or_else(|| self.end.as_ref().map(|(due, _)| *due))?;
        Some(self.not_before.map_or(due, |limit| limit.max(due)))
    }

    fn take(&mut self, bytes: usize) {
        self.bytes -= bytes;
        let (_, piece) = self.pieces.front_mut().expect("who takes has seen a piece");
        piece.drain(..bytes);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
    }
}
