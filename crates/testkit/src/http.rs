//! Just enough HTTP/1.1 for a proxy between client and relay: heads, and bodies with a length.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads one message and returns it with the length of its head. `None` at the end of the connection.
pub(crate) async fn read_message(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Option<(Vec<u8>, usize)>> {
    let mut message = Vec::new();
    let head = loop {
        if let Some(at) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            break at.saturating_add(4);
        }
        if stream.read_buf(&mut message).await? == 0 {
            return Ok(None);
        }
    };
    let whole = head.saturating_add(body_length(message.get(..head).unwrap_or_default()));
    while message.len() < whole {
        if stream.read_buf(&mut message).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((message, head)))
}

/// The first line of a message.
pub(crate) fn first_line(message: &[u8]) -> String {
    let end = message.iter().position(|byte| *byte == b'\r').unwrap_or(message.len());
    String::from_utf8_lossy(message.get(..end).unwrap_or_default()).into_owned()
}

fn body_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}
