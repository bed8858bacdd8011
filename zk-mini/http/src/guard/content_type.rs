//! Types of a body that every web page may send to every server without being asked.

/// Returns the type if it is one that an HTML form sends: a form, or plain text.
pub(super) fn form_type(content_type: &str) -> Option<&'static str> {
    const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    let end = content_type.find([';', ',', ' ', '\t']).unwrap_or(content_type.len());
    let essence = &content_type[..end];
    FORMS.into_iter().find(|form| form.eq_ignore_ascii_case(essence))
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
            assert!(form_type(text).is_some(), "{text}");
        }
    }

    #[test]
    fn other_types_are_no_forms() {
        for text in
            ["application/json", "application/octet-stream", "application/yaml", "", "text/plainer", "text"]
        {
            assert_eq!(form_type(text), None, "{text}");
        }
    }
}
