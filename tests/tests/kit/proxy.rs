//! Each fault of the proxy, between a client and a server that answers what it hears.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rookery_tests::kit::proxy::{Direction, Proxy};
use rookery_tests::kit::wait;

/// Longer than anything on this machine takes, shorter than a person waits.
const LIMIT: Duration = Duration::from_secs(10);

/// How long is listened for something that must not come.
const QUIET: Duration = Duration::from_millis(150);

/// A server that sends back what it hears, until the process ends.
fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    Ok(address)
}

fn connect(proxy: &Proxy) -> Result<TcpStream> {
    let stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends a word and hears it again.
fn exchange(stream: &mut TcpStream, word: &[u8]) -> Result<()> {
    stream.write_all(word)?;
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, word);
    Ok(())
}

/// What a read says of a connection that was reset.
fn is_reset(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

fn is_quiet(stream: &mut TcpStream) -> Result<bool> {
    stream.set_read_timeout(Some(QUIET))?;
    let read = stream.read(&mut [0]);
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock))
}

#[test]
fn it_passes_bytes_and_ends_both_ways() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    let long = vec![7; 300_000];
    let mut sender = stream.try_clone()?;
    let sending = thread::spawn(move || sender.write_all(&long));
    let mut heard = vec![0; 300_000];
    stream.read_exact(&mut heard)?;
    sending.join().unwrap()?;
    assert_eq!(proxy.connections(), 1);
    // The last bytes may be here before they are counted.
    let all_passed = || (proxy.passed(Direction::Both) == 600_000).then_some(());
    wait::until("the count", LIMIT, || Ok(all_passed()))?;
    assert_eq!(proxy.passed(Direction::ToServer), 300_000);
    stream.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(stream.read(&mut [0])?, 0);
    wait::until("the connection to end", LIMIT, || Ok((proxy.connections() == 0).then_some(())))
}

#[test]
fn a_reset_ends_open_connections_and_lets_new_ones_pass() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    exchange(&mut stream, b"one")?;
    proxy.reset();
    assert!(is_reset(&mut stream));
    exchange(&mut connect(&proxy)?, b"two")
}

#[test]
fn a_cut_resets_every_connection_until_it_is_mended() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    exchange(&mut stream, b"one")?;
    proxy.cut();
    assert!(is_reset(&mut stream));
    assert!(is_reset(&mut connect(&proxy)?));
    proxy.pass();
    exchange(&mut connect(&proxy)?, b"two")
}

#[test]
fn what_is_held_passes_later_and_nothing_is_lost() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    exchange(&mut stream, b"one")?;
    proxy.hold(Direction::Both);
    stream.write_all(b"two")?;
    let mut late = connect(&proxy)?;
    late.write_all(b"three")?;
    assert!(is_quiet(&mut stream)?);
    assert_eq!(proxy.passed(Direction::ToServer), 3);
    proxy.pass();
    exchange_of(&mut stream, b"two")?;
    exchange_of(&mut late, b"three")
}

/// Hears a word that was sent before.
fn exchange_of(stream: &mut TcpStream, word: &[u8]) -> Result<()> {
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, word);
    Ok(())
}

#[test]
fn an_answer_can_be_held_while_the_request_arrives() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    exchange(&mut stream, b"one")?;
    proxy.hold(Direction::ToClient);
    stream.write_all(b"two")?;
    wait::until("the request", LIMIT, || {
        Ok((proxy.passed(Direction::ToServer) == 6).then_some(()))
    })?;
    assert!(is_quiet(&mut stream)?);
    // The end of a client behind a black hole does not reach the server either.
    proxy.hold(Direction::Both);
    drop(stream);
    assert_eq!(proxy.connections(), 1);
    Ok(())
}

#[test]
fn a_delay_adds_up_over_both_ways() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    proxy.delay(Direction::Both, QUIET);
    let start = Instant::now();
    exchange(&mut stream, b"one")?;
    assert!(start.elapsed() >= 2 * QUIET);
    proxy.pass();
    let start = Instant::now();
    exchange(&mut stream, b"two")?;
    assert!(start.elapsed() < 2 * QUIET);
    Ok(())
}

#[test]
fn a_limit_takes_its_time() -> Result<()> {
    let proxy = Proxy::to(echo()?)?;
    let mut stream = connect(&proxy)?;
    proxy.limit(Direction::ToServer, 100_000);
    let start = Instant::now();
    exchange(&mut stream, &[7; 30_000])?;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(250), "30 kB at 100 kB/s took {took:?}");
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_a_reset() -> Result<()> {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    assert!(is_reset(&mut connect(&Proxy::to(nobody)?)?));
    Ok(())
}
