//! Converts a text to UTF-8 while it is read.

use std::io::{self, Read};

use encoding_rs::CoderResult;

use crate::import_export::{TextDecoder, TextEncoding};

/// The size of the buffer for undecoded bytes.
const INPUT_SIZE: usize = 64 * 1024;

/// A source of UTF-8 over a source in any encoding. UTF-8 itself is passed through, even if it is invalid: only the rows
/// that it is part of are refused.
pub(super) struct DecodedText<R> {
    source: R,
    /// `None` for UTF-8.
    decoder: Option<TextDecoder>,
    input: Vec<u8>,
    /// The part of `input` that is read but not decoded.
    pending: std::ops::Range<usize>,
    is_at_end: bool,
    /// Whether the decoder has returned everything. It must not be called again then.
    is_finished: bool,
}

impl<R: Read> DecodedText<R> {
    /// Decodes a source, which is at the start of its byte order mark if it has one.
    ///
    /// # Errors
    /// Fails if the source cannot be read.
    pub(super) fn new(mut source: R, encoding: TextEncoding) -> io::Result<Self> {
        let mut bom = [0; 3];
        source.read_exact(&mut bom[..encoding.bom_length])?;
        let decoder = encoding.charset.new_decoder();
        let input = if decoder.is_some() { vec![0; INPUT_SIZE] } else { vec![] };
        Ok(Self { source, decoder, input, pending: 0..0, is_at_end: false, is_finished: false })
    }
}

impl<R: Read> Read for DecodedText<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return self.source.read(output) };
        if self.is_finished {
            return Ok(0);
        }
        loop {
            if self.pending.is_empty() && !self.is_at_end {
                let read = self.source.read(&mut self.input)?;
                (self.pending, self.is_at_end) = (0..read, read == 0);
            }
            let input = &self.input[self.pending.clone()];
            let (result, read, written) = decoder.decode_to_utf8(input, output, self.is_at_end);
            self.pending.start += read;
            self.is_finished = self.is_at_end && result == CoderResult::InputEmpty;
            if written > 0 || self.is_finished {
                return Ok(written);
            }
            if result == CoderResult::OutputFull {
                return Err(io::Error::other("internal error: the buffer is smaller than a character"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> String {
        let encoding = TextEncoding::detect(bytes, true).expect("a text");
        let mut decoded = DecodedText::new(bytes, encoding).expect("a readable source");
        let (mut text, mut piece) = (vec![], [0; 7]);
        loop {
            match decoded.read(&mut piece).expect("a readable source") {
                0 => break,
                read => text.extend_from_slice(&piece[..read]),
            }
        }
        // Readers may ask again at the end.
        assert_eq!(decoded.read(&mut piece).expect("a readable source"), 0);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn texts_are_converted_to_utf_8() {
        let text = "Vorname;Größe\r\nJürgen;1 €\r\n😀\r\n";
        let utf_16 = [b"\xff\xfe".to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        assert_eq!(decode(&utf_16), text);
        assert_eq!(decode(text.as_bytes()), text);
        assert_eq!(decode(&[b"\xef\xbb\xbf", text.as_bytes()].concat()), text);
        assert_eq!(decode(b"a;M\xfcller\n"), "a;Müller\n");
        assert_eq!(decode(b"B\x84rbel;Gr\x94\xe1e\n"), "Bärbel;Größe\n");
        assert_eq!(decode(b""), "");
    }
}
