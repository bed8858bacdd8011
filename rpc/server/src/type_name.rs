//! Names of types for humans.

use std::any::type_name;

/// Returns the name of a type without the paths of its parts.
pub(crate) fn short_type_name<T: ?Sized>() -> String {
    without_paths(type_name::<T>())
}

fn without_paths(name: &str) -> String {
    let mut short = String::new();
    let mut part = String::new();
    for letter in name.chars() {
        match letter {
            // A path goes on: what came before is not the name.
            ':' => part.clear(),
            // Braces are around what has no name, such as a closure.
            _ if letter.is_alphanumeric() || matches!(letter, '_' | '{' | '}') => part.push(letter),
            _ => {
                short.push_str(&part);
                part.clear();
                short.push(letter);
            }
        }
    }
    short + &part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_paths() {
        assert_eq!(short_type_name::<Option<Vec<String>>>(), "Option<Vec<String>>");
        assert_eq!(short_type_name::<(u32, std::time::Duration)>(), "(u32, Duration)");
        assert_eq!(short_type_name::<()>(), "()");
        assert_eq!(short_type_name::<[u8; 4]>(), "[u8; 4]");
        assert_eq!(without_paths("shop::main::{{closure}}::Order"), "Order");
    }
}
