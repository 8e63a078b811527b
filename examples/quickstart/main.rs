//! The service of the quickstart: a small HTTP server with only the standard library, as a program for preverb to
//! start. `server` answers `/` and `/healthz`, `daemon` logs, and `migrate` ends.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| "(not set)".to_owned())
}

/// The variables of the service, as preverb and its hooks set them.
fn settings() -> String {
    let names = ["PREVERB_VERB", "PREVERB_ENVIRONMENT", "GREETING", "FEATURES"];
    let lines: Vec<String> = names.iter().map(|name| format!("{name}={}\n", setting(name))).collect();
    lines.concat()
}

fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/" => ("200 OK", settings()),
        "/healthz" => ("200 OK", "ok\n".to_owned()),
        _ => ("404 Not Found", "not found\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn server() -> std::io::Result<()> {
    let address = format!("{}:{}", setting("HOST"), setting("PORT"));
    let listener = TcpListener::bind(&address)?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        // A client that disconnects does not end the service.
        if let Err(error) = stream.and_then(|mut stream| answer(&mut stream)) {
            println!("a request failed: {error}");
        }
    }
    Ok(())
}

fn daemon() -> ! {
    let mut count = 0_u64;
    loop {
        println!("working in {}, round {count}", setting("PREVERB_ENVIRONMENT"));
        count += 1;
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("server") => server(),
        Some("daemon") => daemon(),
        Some("migrate") => {
            println!("migrated in {}", setting("PREVERB_ENVIRONMENT"));
            Ok(())
        }
        _ => Err(std::io::Error::other("usage: quickstart server|daemon|migrate")),
    }
}
