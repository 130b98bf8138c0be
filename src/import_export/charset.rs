//! The encodings that texts are decoded from: the encodings of web browsers, and the code page 850 of MS-DOS, which Excel
//! writes as "CSV (MS-DOS)".

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use oem_cp::code_table::DECODING_TABLE_CP850;
use oem_cp::{decode_char_complete_table, decode_string_complete_table};

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// An encoding of web browsers.
    Web(&'static Encoding),
    /// The code page 850 of MS-DOS for Western Europe.
    CodePage850,
}

impl Charset {
    /// Returns the name for people, such as `UTF-8` or `Windows-1252`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let Self::Web(encoding) = self else { return "MS-DOS (code page 850)" };
        match encoding.name() {
            "windows-1252" => "Windows-1252",
            "UTF-16LE" | "UTF-16BE" => "UTF-16",
            "macintosh" => "Mac OS Roman",
            name => name,
        }
    }

    /// Decodes a text without a byte order mark. Bytes that are invalid become U+FFFD.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Web(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            Self::CodePage850 => decode_string_complete_table(bytes, &DECODING_TABLE_CP850),
        }
    }

    /// Returns a decoder for a text without a byte order mark; `None` for UTF-8.
    #[must_use]
    pub fn new_decoder(self) -> Option<TextDecoder> {
        match self {
            Self::Web(encoding) if encoding == UTF_8 => None,
            Self::Web(encoding) => Some(TextDecoder::Web(encoding.new_decoder_without_bom_handling())),
            Self::CodePage850 => Some(TextDecoder::CodePage850),
        }
    }
}

/// Decodes a text piece by piece.
pub enum TextDecoder {
    /// A decoder of web browsers.
    Web(Decoder),
    /// Each byte of the code page 850 is a character.
    CodePage850,
}

impl TextDecoder {
    /// Decodes as much as fits into `output`. `is_last` says whether nothing follows `input`. Returns why it stopped, and the
    /// numbers of bytes read and written.
    pub fn decode_to_utf8(&mut self, input: &[u8], output: &mut [u8], is_last: bool) -> (CoderResult, usize, usize) {
        match self {
            Self::Web(decoder) => {
                let (result, read, written, _) = decoder.decode_to_utf8(input, output, is_last);
                (result, read, written)
            }
            Self::CodePage850 => decode_code_page_850(input, output),
        }
    }
}

fn decode_code_page_850(input: &[u8], output: &mut [u8]) -> (CoderResult, usize, usize) {
    let mut written = 0;
    for (read, byte) in input.iter().enumerate() {
        let character = decode_char_complete_table(*byte, &DECODING_TABLE_CP850);
        let Some(free) = output.get_mut(written..written + character.len_utf8()) else {
            return (CoderResult::OutputFull, read, written);
        };
        written += character.encode_utf8(free).len();
    }
    (CoderResult::InputEmpty, input.len(), written)
}
