//! Parts of texts.

/// Returns the first characters of a text, up to `max` bytes.
#[must_use]
pub fn beginning(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_in_two() {
        let cut: Vec<_> = (0..6).map(|max| beginning("aéé", max)).collect();
        assert_eq!(cut, ["", "a", "a", "aé", "aé", "aéé"]);
        assert_eq!(beginning("aéé", usize::MAX), "aéé");
    }
}
