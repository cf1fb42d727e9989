//! The server side of RFC 6455, as much of it as giving messages back takes.
//!
//! In: an upgraded connection. Out: each frame again, unmasked, and an answer to ping and close.
//! Always: a frame passes in chunks, whatever length it claims.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Appended to the client's key: RFC 6455, section 1.3.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The value of `Sec-WebSocket-Accept` for a client's key.
pub(super) fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(sha1(&[key, KEY_SUFFIX].concat()))
}

/// Gives back every frame until the client closes.
pub(super) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    loop {
        let first = stream.read_u8().await?;
        let second = stream.read_u8().await?;
        let opcode = first & 0x0f;
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            stream.read_exact(&mut mask).await?;
        }
        let answer = if opcode == PING {
            (first & 0xf0) | PONG
        } else {
            first
        };
        stream.write_u8(answer).await?;
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => stream.write_u8(short).await?,
            (_, Ok(medium)) => {
                stream.write_u8(126).await?;
                stream.write_u16(medium).await?;
            }
            _ => {
                stream.write_u8(127).await?;
                stream.write_u64(length).await?;
            }
        }
        pass(&mut stream, mask, length).await?;
        stream.flush().await?;
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    mask: [u8; 4],
    length: u64,
) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let mut left = length;
    while left > 0 {
        // A multiple of the mask's length, so that each full chunk begins where the mask does.
        let take = usize::try_from(left)
            .unwrap_or(chunk.len())
            .min(chunk.len());
        let part = &mut chunk[..take];
        stream.read_exact(part).await?;
        for (byte, key) in part.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        stream.write_all(part).await?;
        left -= take as u64;
    }
    Ok(())
}

/// SHA-1 (RFC 3174). The handshake wants it; it protects nothing here, and no dependency is worth
/// these lines.
#[expect(clippy::many_single_char_names, reason = "the letters of the standard")]
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes
                .iter()
                .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] =
                (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mixed)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard() {
        assert_eq!(
            accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[tokio::test]
    async fn frames_come_back_unmasked() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(echo(server));
        let mask = [1, 2, 3, 4];
        for length in [0_u16, 5, 125, 126, 5000] {
            let payload: Vec<u8> = (0..length).map(|byte| byte.to_be_bytes()[1]).collect();
            let masked: Vec<u8> = payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect();
            let mut frame = vec![0x82];
            if let Ok(short @ 0..=125) = u8::try_from(length) {
                frame.push(0x80 | short);
            } else {
                frame.push(0x80 | 0x7e);
                frame.extend(length.to_be_bytes());
            }
            let head = frame.len();
            frame.extend(mask);
            frame.extend(&masked);
            client.write_all(&frame).await.unwrap();
            let mut back = vec![0; head + payload.len()];
            client.read_exact(&mut back).await.unwrap();
            assert_eq!(
                (back[0], back[1] & 0x80, &back[head..]),
                (0x82, 0, &payload[..]),
                "length {length}"
            );
        }
        client
            .write_all(&[0x89, 0x80, 0, 0, 0, 0, 0x88, 0x80, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x8a, 0, 0x88, 0], "pong, then close");
        serving.await.unwrap().unwrap();
    }
}
