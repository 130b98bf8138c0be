//! Mutates inputs. `FUZZ_EXECUTIONS` sets the number of mutations, and the same `TEST_SEED` gives the same mutations.

use super::SeededRandom;

/// The largest length of an input in bytes. Shorter inputs reach the same code.
const MAX_LENGTH: usize = 8 * 1024;

/// Changes inputs at random.
pub struct Mutator {
    random: SeededRandom,
    dictionary: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(random: SeededRandom, dictionary: Vec<Vec<u8>>) -> Self {
        Self { random, dictionary }
    }

    /// Returns one of these inputs with one or more random changes.
    pub fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.random.choose(corpus).clone();
        loop {
            self.change(&mut input, corpus);
            input.truncate(MAX_LENGTH);
            if self.random.one_in(2) {
                return input;
            }
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        match self.random.below(10) {
            0 => self.flip(input),
            1 => self.overwrite(input),
            2 => self.delete(input),
            3 => self.repeat(input),
            4 => self.splice(input, corpus),
            5 => self.insert_random_bytes(input),
            6 => self.insert_word(input),
            7 => self.overwrite_with_word(input),
            _ => self.replace_word(input),
        }
    }

    /// Flips a random bit.
    fn flip(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let position = self.below(input.len());
            input[position] ^= 1 << self.random.below(8);
        }
    }

    /// Replaces a random byte by a byte that is special to many parsers.
    fn overwrite(&mut self, input: &mut [u8]) {
        const SPECIAL_BYTES: &[u8] = b"\0\t\n\r \"'\\/,:;.{}[]()<>-+_=&%#@*019eEuntf\x7f\x80\xbf\xc3\xed\xf0\xff";
        if !input.is_empty() {
            let position = self.below(input.len());
            input[position] = *self.random.choose(SPECIAL_BYTES);
        }
    }

    /// Deletes a part of the input.
    fn delete(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.random_range(input);
        input.drain(start..end);
    }

    /// Repeats a part of the input a few times, or 300 times.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.random_range(input);
        let times = if self.random.one_in(20) { 300 } else { 1 + self.below(3) };
        let part = input[start..end].repeat(times);
        input.splice(start..start, part);
    }

    /// Joins the start of this input and the end of another one.
    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let other = self.random.choose(corpus);
        let (here, there) = (self.below(input.len() + 1), self.below(other.len() + 1));
        input.truncate(here);
        input.extend_from_slice(&other[there..]);
    }

    /// Inserts up to four random bytes.
    fn insert_random_bytes(&mut self, input: &mut Vec<u8>) {
        let position = self.below(input.len() + 1);
        let bytes: Vec<_> = (0..=self.random.below(4)).map(|_| u8::try_from(self.random.below(256)).unwrap()).collect();
        input.splice(position..position, bytes);
    }

    /// Inserts a word of the dictionary.
    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let position = self.below(input.len() + 1);
        input.splice(position..position, self.random.choose(&self.dictionary).iter().copied());
    }

    /// Overwrites as many bytes as a word of the dictionary has, so that the length stays the same.
    fn overwrite_with_word(&mut self, input: &mut Vec<u8>) {
        let word = self.random.choose(&self.dictionary);
        let position = usize::try_from(self.random.below(input.len() as u64 + 1)).unwrap();
        let end = (position + word.len()).min(input.len());
        input.splice(position..end, word.iter().copied());
    }

    /// Replaces a word of the input by a word of the dictionary, so that the syntax around it stays valid.
    fn replace_word(&mut self, input: &mut Vec<u8>) {
        let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let from = self.below(input.len() + 1);
        let Some(start) = input[from..].iter().position(is_of_word).map(|start| from + start) else { return };
        let end = input[start..].iter().position(|byte| !is_of_word(byte)).map_or(input.len(), |end| start + end);
        input.splice(start..end, self.random.choose(&self.dictionary).iter().copied());
    }

    /// Returns the start and the end of a random part of the input. Most parts are short.
    fn random_range(&mut self, input: &[u8]) -> (usize, usize) {
        let start = self.below(input.len() + 1);
        let longest = if self.random.one_in(4) { input.len() } else { 16 };
        (start, (start + self.below(longest + 1)).min(input.len()))
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }
}

/// Returns the number of inputs to try in total.
pub fn executions(default: u64) -> u64 {
    std::env::var("FUZZ_EXECUTIONS").map_or(default, |number| number.parse().unwrap())
}
