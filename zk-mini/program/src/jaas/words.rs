//! Words and marks of a JAAS file, as Java's tokenizer finds them.

use std::iter::Peekable;
use std::str::Chars;

use super::{BadJaas, unexpected};

/// Word or mark.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// A word, or the content of a quote.
    Word(String),
    Mark(char),
}

/// Tokens of a text, with one to look at ahead.
pub(super) struct Words<'a> {
    text: Peekable<Chars<'a>>,
    line: usize,
    peeked: Option<(Token, usize)>,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.chars().peekable(), line: 1, peeked: None }
    }

    /// Returns the next token with its line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Token, usize)>, BadJaas> {
        match self.peeked.take() {
            Some(token) => Ok(Some(token)),
            None => self.read(),
        }
    }

    /// Takes a token if it is the next one.
    pub(super) fn skip(&mut self, wanted: &Token) -> Result<bool, BadJaas> {
        let next = self.next()?;
        let is_there = next.as_ref().is_some_and(|(token, _)| token == wanted);
        if !is_there {
            self.peeked = next;
        }
        Ok(is_there)
    }

    /// Takes a token, which must be the next one.
    pub(super) fn take(&mut self, wanted: &Token, expected: &str) -> Result<(), BadJaas> {
        match self.next()? {
            Some((token, _)) if token == *wanted => Ok(()),
            Some((token, line)) => Err(unexpected(&token, line, expected)),
            None => Err(self.cut(expected)),
        }
    }

    /// Takes a word with its line.
    pub(super) fn word(&mut self, expected: &str) -> Result<(String, usize), BadJaas> {
        match self.next()? {
            Some((Token::Word(word), line)) => Ok((word, line)),
            Some((token, line)) => Err(unexpected(&token, line, expected)),
            None => Err(self.cut(expected)),
        }
    }

    fn cut(&self, expected: &str) -> BadJaas {
        BadJaas { line: self.line, what: format!("expected {expected}, found the end of the file") }
    }

    fn read(&mut self) -> Result<Option<(Token, usize)>, BadJaas> {
        while let Some(c) = self.character() {
            let line = self.line;
            let token = match c {
                '/' => {
                    self.comment()?;
                    continue;
                }
                '"' => Token::Word(self.quote()?),
                '\'' => {
                    let what = "values stand in double quotes, not in single ones".into();
                    return Err(BadJaas { line, what });
                }
                '{' | '}' | ';' | '=' => Token::Mark(c),
                c if is_of_word(c) => {
                    let mut word = c.to_string();
                    while let Some(next) = self.text.next_if(|next| is_of_word(*next)) {
                        word.push(next);
                    }
                    Token::Word(word)
                }
                c if c <= ' ' => continue,
                c => {
                    let what = format!(
                        "{c:?} has no meaning here: write values in double quotes, and comments behind //"
                    );
                    return Err(BadJaas { line, what });
                }
            };
            return Ok(Some((token, line)));
        }
        Ok(None)
    }

    /// Reads a comment, after its slash. Any slash begins one, which goes on to the end of the line.
    fn comment(&mut self) -> Result<(), BadJaas> {
        if self.text.peek() != Some(&'*') {
            while self.text.next_if(|next| *next != '\n').is_some() {}
            return Ok(());
        }
        let line = self.line;
        self.character();
        let mut before = ' ';
        while let Some(c) = self.character() {
            if (before, c) == ('*', '/') {
                return Ok(());
            }
            before = c;
        }
        Err(BadJaas { line, what: "a comment that does not end".into() })
    }

    /// Reads the rest of a quote.
    fn quote(&mut self) -> Result<String, BadJaas> {
        let line = self.line;
        let mut value = String::new();
        while let Some(c) = self.text.next_if(|next| !matches!(next, '\n' | '\r')) {
            match c {
                '"' => return Ok(value),
                '\\' => {
                    let Some(escaped) = self.text.next_if(|next| !matches!(next, '\n' | '\r')) else { break };
                    value.push(self.escaped(escaped));
                }
                c => value.push(c),
            }
        }
        Err(BadJaas { line, what: "a quote that does not end on its line".into() })
    }

    /// Returns the character that an escape stands for.
    fn escaped(&mut self, c: char) -> char {
        match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0'..='7' => {
                let mut value = u32::from(c) - u32::from('0');
                // Three digits only if the first one leaves room for them in a byte.
                let more = if c <= '3' { 2 } else { 1 };
                for _ in 0..more {
                    let Some(digit) = self.text.next_if(|next| matches!(next, '0'..='7')) else { break };
                    value = value * 8 + u32::from(digit) - u32::from('0');
                }
                char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            c => c,
        }
    }

    fn character(&mut self) -> Option<char> {
        let c = self.text.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '*') || c >= '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_javas() {
        let mut words = Words::new(r#""a\tb\x\"\\\101\7\400""#);
        let (word, _) = words.word("a value").unwrap();
        assert_eq!(word, "a\tbx\"\\A\u{7} 0");
    }

    #[test]
    fn comments_are_skipped_and_lines_are_counted() {
        let mut words = Words::new("a // b\n/* c\n * d */ e / f\ng");
        let found: Vec<_> = (0..3).map(|_| words.word("a word").unwrap()).collect();
        assert_eq!(found, [("a".into(), 1), ("e".into(), 3), ("g".into(), 4)]);
        assert_eq!(words.next(), Ok(None));
    }
}
