//! Types of a body that every web page may send to every server without being asked.

/// Returns the type if it is one that an HTML form sends: a form, or plain text.
pub(super) fn form_type(content_type: &[u8]) -> Option<&'static str> {
    const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    // Parameters are of no account, and may hold bytes that are no text.
    let essence = content_type.split(|byte| b";, \t".contains(byte)).next()?;
    FORMS.into_iter().find(|form| form.as_bytes().eq_ignore_ascii_case(essence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_recognised_with_parameters_and_in_any_case() {
        for text in [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Multipart/Form-Data; boundary=x",
            "text/plain",
            "TEXT/PLAIN;charset=utf-8",
            "text/plain ; a=b",
            "text/plain, application/json",
        ] {
            assert!(form_type(text.as_bytes()).is_some(), "{text}");
        }
        assert!(form_type(b"text/plain;x=\xe9").is_some(), "browsers let pages send this, too");
    }

    #[test]
    fn other_types_are_no_forms() {
        for text in
            ["application/json", "application/octet-stream", "application/yaml", "", "text/plainer", "text"]
        {
            assert_eq!(form_type(text.as_bytes()), None, "{text}");
        }
    }
}
