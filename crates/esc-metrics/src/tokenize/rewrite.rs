//! Texts that are rewritten pass by pass, as chains of regular expressions do it.

/// What a pass found: the number of bytes it matched, and the pieces that take their place.
pub(crate) type Found<'t, const N: usize> = Option<(usize, [&'t str; N])>;

/// A text under work. Two buffers take turns, so that a pass allocates nothing once they are large enough.
#[derive(Debug, Default)]
pub(crate) struct Rewrite {
    text: String,
    spare: String,
}

impl Rewrite {
    /// Starts anew.
    pub(crate) fn start(&mut self, text: &str) {
        self.text.clear();
        self.text.push_str(text);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Adds a space on both sides.
    pub(crate) fn pad(&mut self) {
        self.text.insert(0, ' ');
        self.text.push(' ');
    }

    /// One pass from left to right. `find(text, at, free)` says whether there is a match at byte `at`; what lies before `free` belongs to
    /// the match before, so a pattern that begins one character further left needs `at > free`.
    ///
    /// `at` runs over all bytes. A match starts and ends between characters.
    pub(crate) fn replace<const N: usize>(&mut self, find: impl for<'t> Fn(&'t str, usize, usize) -> Found<'t, N>) {
        self.spare.clear();
        let (mut at, mut free) = (0, 0);
        while at < self.text.len() {
            let Some((length, pieces)) = find(&self.text, at, free) else {
                at += 1;
                continue;
            };
            self.spare.push_str(&self.text[free..at]);
            pieces.iter().for_each(|piece| self.spare.push_str(piece));
            at += length.max(1);
            free = at;
        }
        if free > 0 {
            self.spare.push_str(&self.text[free..]);
            std::mem::swap(&mut self.text, &mut self.spare);
        }
    }

    /// Puts spaces around every stretch of which `length(bytes, at)` is the length, if it is not 0.
    pub(crate) fn isolate(&mut self, length: impl Fn(&[u8], usize) -> usize) {
        self.replace(|text, at, _| match length(text.as_bytes(), at) {
            0 => None,
            length => Some((length, [" ", &text[at..at + length], " "])),
        });
    }
}

/// How many times the byte stands in a row from here on.
pub(crate) fn run(bytes: &[u8], at: usize, byte: u8) -> usize {
    bytes[at..].iter().take_while(|&&other| other == byte).count()
}

/// The length of `pattern` if the bytes go on with it, else 0.
pub(crate) fn literal(bytes: &[u8], at: usize, pattern: &str) -> usize {
    if bytes[at..].starts_with(pattern.as_bytes()) { pattern.len() } else { 0 }
}
