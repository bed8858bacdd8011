//! Sections of a JAAS file, Java's configuration of logins, as far as a server with SASL needs them.
//!
//! The text is read as Java reads it: words, quoted values, comments in the style of C. What Java would do with Kerberos,
//! other modules or properties of the JVM is an error here that says so.

mod words;

use zk_mini::SaslUsers;

use words::{Token, Words};

/// Module that reads the users of DIGEST-MD5.
const DIGEST: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

/// Beginning of an option that names a user.
const USER: &str = "user_";

/// Reason why a file cannot be used, with the line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BadJaas {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// Section of a file.
#[derive(Debug)]
struct Section {
    name: String,
    line: usize,
    modules: Vec<Module>,
}

/// Login module of a section, with its options.
#[derive(Debug)]
struct Module {
    class: String,
    line: usize,
    options: Vec<(String, String)>,
}

/// Returns the users in a section of a file.
pub(crate) fn users(text: &str, section: &str) -> Result<SaslUsers, BadJaas> {
    let sections = sections(text)?;
    let mut named = sections.iter().filter(|found| found.name == section);
    let Some(found) = named.next() else {
        let names: Vec<&str> = sections.iter().map(|section| &*section.name).collect();
        let has = if names.is_empty() { "no section".to_owned() } else { names.join(", ") };
        let what = format!("there is no section {section}; the file has {has}");
        return Err(BadJaas { line: text.lines().count().max(1), what });
    };
    if let Some(again) = named.next() {
        let what = format!("there is a second section {section}, which Java refuses, too");
        return Err(BadJaas { line: again.line, what });
    }
    let mut users = SaslUsers::default();
    for module in &found.modules {
        if module.class.ends_with(".Krb5LoginModule") {
            let what = "Kerberos is not supported: only DIGEST-MD5 is, with the module ".to_owned() + DIGEST;
            return Err(BadJaas { line: module.line, what });
        }
        if module.class != DIGEST {
            let what = format!("{} is not known: the only login module is {DIGEST}", module.class);
            return Err(BadJaas { line: module.line, what });
        }
        for (name, password) in &module.options {
            if let Some(user) = name.strip_prefix(USER) {
                users.insert(user, password);
            }
        }
    }
    Ok(users)
}

fn sections(text: &str) -> Result<Vec<Section>, BadJaas> {
    let mut words = Words::new(text);
    let mut sections = Vec::new();
    while let Some((token, line)) = words.next()? {
        let Token::Word(name) = token else { return Err(unexpected(&token, line, "the name of a section")) };
        words.take(&Token::Mark('{'), "{")?;
        let mut modules = Vec::new();
        while !words.skip(&Token::Mark('}'))? {
            modules.push(module(&mut words)?);
        }
        words.take(&Token::Mark(';'), "; behind the section")?;
        sections.push(Section { name, line, modules });
    }
    Ok(sections)
}

fn module(words: &mut Words<'_>) -> Result<Module, BadJaas> {
    let (class, line) = words.word("a login module, or }")?;
    let (flag, flag_line) = words.word("required, requisite, sufficient or optional")?;
    if !["required", "requisite", "sufficient", "optional"]
        .iter()
        .any(|known| flag.eq_ignore_ascii_case(known))
    {
        let what = format!("{flag:?} is not required, requisite, sufficient or optional");
        return Err(BadJaas { line: flag_line, what });
    }
    let mut options = Vec::new();
    while !words.skip(&Token::Mark(';'))? {
        let (name, _) = words.word("an option, or ; behind the last one")?;
        words.take(&Token::Mark('='), &format!("= behind {name}"))?;
        let (value, line) = words.word(&format!("the value of {name}, in double quotes"))?;
        if value.contains("${") {
            let what = format!(
                "the value of {name} has a Java property in it, and there is no Java here to know it"
            );
            return Err(BadJaas { line, what });
        }
        options.push((name, value));
    }
    Ok(Module { class, line, options })
}

fn unexpected(token: &Token, line: usize, expected: &str) -> BadJaas {
    let found = match token {
        // It may be a password.
        Token::Word(_) => "a word".to_owned(),
        Token::Mark(mark) => format!("{mark:?}"),
    };
    BadJaas { line, what: format!("expected {expected}, found {found}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
// Users of the server.
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret"   /* may do
                                  everything */
    user_bob="bob\"secret;" other=word user_=x;
};
Client {
    org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED username="bob" password="bobsecret";
};
"#;

    #[test]
    fn users_are_the_options_of_the_section_that_begin_so() {
        let expected = SaslUsers::from_iter([("super", "adminsecret"), ("bob", "bob\"secret;"), ("", "x")]);
        assert_eq!(users(FILE, "Server"), Ok(expected));
        assert_eq!(users(FILE, "Client"), Ok(SaslUsers::default()));
    }

    #[test]
    fn an_error_names_the_line_and_no_password() {
        let digest = "org.apache.zookeeper.server.auth.DigestLoginModule";
        for (text, line, what) in [
            (String::new(), 1, "there is no section Server; the file has no section"),
            ("Client { };\n".into(), 1, "there is no section Server; the file has Client"),
            ("Server {\n};\nServer {};".into(), 3, "there is a second section Server"),
            (
                "Server {\ncom.sun.security.auth.module.Krb5LoginModule required;\n};".into(),
                2,
                "Kerberos is not supported",
            ),
            ("Server {\n\norg.example.Other required;};".into(), 3, "org.example.Other is not known"),
            (format!("Server {{ {digest} needed; }};"), 1, "\"needed\" is not required, "),
            (
                format!("Server {{ {digest} required\nuser_bob \"secret\"; }};"),
                2,
                "expected = behind user_bob, found a word",
            ),
            (
                format!("Server {{ {digest} required\nuser_bob=\"secret\n\"; }};"),
                2,
                "a quote that does not end",
            ),
            (format!("Server {{ {digest} required\nuser_bob='secret'; }};"), 2, "double quotes"),
            (format!("Server {{ {digest} required\nuser_bob=\"a${{b}}\"; }};"), 2, "a Java property"),
            (
                format!("Server {{ {digest} required user_bob=\"s\"\n}};"),
                2,
                "expected an option, or ; behind the last one, found '}'",
            ),
            (
                format!("Server {{ {digest} required user_bob=\"s\";\n}}"),
                2,
                "expected ; behind the section, found the end",
            ),
            ("Server\n\n".into(), 3, "expected {, found the end"),
            ("# no comment".into(), 1, "'#'"),
            ("Server { /* ".into(), 1, "a comment that does not end"),
            ("{};".into(), 1, "expected the name of a section, found '{'"),
        ] {
            let error = users(&text, "Server").unwrap_err();
            assert_eq!(error.line, line, "{text}: {error:?}");
            assert!(error.what.contains(what) && !error.what.contains("secret"), "{text}: {error:?}");
        }
    }

    #[test]
    fn any_text_is_read_to_an_end() {
        let pieces = [
            "Server", "{", "}", ";", "=", "\"", "\\", "/", "*", "x.Y", "required", "\n", "'", "${", "é", "1",
        ];
        for seed in 0..2_000_u64 {
            let mut state = seed;
            let text: String = (0..12)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]
                })
                .collect();
            let lines = text.lines().count().max(1) + 1;
            assert!(
                users(&text, "Server").is_ok_and(|_| true)
                    || users(&text, "Server").unwrap_err().line <= lines
            );
        }
    }
}
