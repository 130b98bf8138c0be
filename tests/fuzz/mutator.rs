//! Makes new inputs of known ones: so many as `FUZZ_EXECUTIONS` says, and the same ones for the same `FUZZ_SEED`.

use super::Dice;

/// Inputs grow up to here. What a target does beyond that, it does for less.
const MAX_LENGTH: usize = 8 * 1024;
/// Changes inputs by chance.
pub struct Mutator {
    dice: Dice,
    dictionary: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(dice: Dice, dictionary: Vec<Vec<u8>>) -> Self {
        Self { dice, dictionary }
    }

    /// One of these inputs with a change, or with a few.
    pub fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.dice.pick(corpus).clone();
        loop {
            self.change(&mut input, corpus);
            input.truncate(MAX_LENGTH);
            if self.dice.hits(2) {
                return input;
            }
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        match self.dice.roll(10) {
            0 => self.flip(input),
            1 => self.overwrite(input),
            2 => self.delete(input),
            3 => self.repeat(input),
            4 => self.splice(input, corpus),
            5 => self.insert_noise(input),
            6 => self.insert_word(input),
            7 => self.overwrite_by_word(input),
            _ => self.exchange_word(input),
        }
    }

    /// A bit of a byte.
    fn flip(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let place = self.below(input.len());
            input[place] ^= 1 << self.dice.roll(8);
        }
    }

    /// A byte by one that means something to many parsers.
    fn overwrite(&mut self, input: &mut [u8]) {
        const TELLING: &[u8] = b"\0\t\n\r \"'\\/,:;.{}[]()<>-+_=&%#@*019eEuntf\x7f\x80\xbf\xc3\xed\xf0\xff";
        if !input.is_empty() {
            let place = self.below(input.len());
            input[place] = *self.dice.pick(TELLING);
        }
    }

    fn delete(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input);
        input.drain(start..end);
    }

    /// A part of the input, a few times or many.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input);
        let times = if self.dice.hits(20) { 300 } else { 1 + self.below(3) };
        let part = input[start..end].repeat(times);
        input.splice(start..start, part);
    }

    /// The start of this input, and the end of another.
    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let other = self.dice.pick(corpus);
        let (here, there) = (self.below(input.len() + 1), self.below(other.len() + 1));
        input.truncate(here);
        input.extend_from_slice(&other[there..]);
    }

    fn insert_noise(&mut self, input: &mut Vec<u8>) {
        let place = self.below(input.len() + 1);
        let noise: Vec<_> = (0..=self.dice.roll(4)).map(|_| u8::try_from(self.dice.roll(256)).unwrap()).collect();
        input.splice(place..place, noise);
    }

    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let place = self.below(input.len() + 1);
        input.splice(place..place, self.dice.pick(&self.dictionary).iter().copied());
    }

    /// As many bytes as the word has: lengths stay what they are.
    fn overwrite_by_word(&mut self, input: &mut Vec<u8>) {
        let word = self.dice.pick(&self.dictionary);
        let place = usize::try_from(self.dice.roll(input.len() as u64 + 1)).unwrap();
        let end = (place + word.len()).min(input.len());
        input.splice(place..end, word.iter().copied());
    }

    /// A word of the input by one of the dictionary, which leaves the grammar around it whole.
    fn exchange_word(&mut self, input: &mut Vec<u8>) {
        let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let from = self.below(input.len() + 1);
        let Some(start) = input[from..].iter().position(is_of_word).map(|start| from + start) else { return };
        let end = input[start..].iter().position(|byte| !is_of_word(byte)).map_or(input.len(), |end| start + end);
        input.splice(start..end, self.dice.pick(&self.dictionary).iter().copied());
    }

    /// A part of the input, most often a short one.
    fn range(&mut self, input: &[u8]) -> (usize, usize) {
        let start = self.below(input.len() + 1);
        let longest = if self.dice.hits(4) { input.len() } else { 16 };
        (start, (start + self.below(longest + 1)).min(input.len()))
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.roll(bound as u64)).unwrap()
    }
}

/// How many inputs to try in all.
pub fn executions(default: u64) -> u64 {
    from_environment("FUZZ_EXECUTIONS", default)
}

/// Which ones.
pub fn seed() -> u64 {
    from_environment("FUZZ_SEED", 1)
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}
