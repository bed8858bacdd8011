//! The commonest mistakes in the trait of a service, and what the compiler says of them. `MISTAKES=overwrite` writes the texts
//! anew.
//!
//! The cases are compiled against the build of `rpc-server` that cargo has made for this test, by one compiler each. So they
//! take a second, where a project of their own (as trybuild makes it) first compiles the server's dependencies once more.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod compiler;

use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use compiler::{CASES, Compiler, workspace};

/// Returns what the compiler says of a case, and what it should say.
fn said(compiler: &Compiler, case: &Path) -> (String, String) {
    let expected = workspace().join(case).with_extension("stderr");
    let said = compiler.complaints(case);
    if env::var_os("MISTAKES").is_some_and(|value| value == "overwrite") {
        fs::write(&expected, &said).unwrap();
    }
    (said, fs::read_to_string(expected).unwrap_or_default())
}

#[test]
fn each_common_mistake_is_named_with_its_remedy() {
    let compiler = Compiler::find();
    let files = fs::read_dir(workspace().join(CASES)).unwrap();
    let names = files.map(|file| PathBuf::from(file.unwrap().file_name()));
    let cases: Vec<_> = names.filter(|name| name.extension().is_some_and(|one| one == "rs")).collect();
    assert!(cases.len() >= 5, "{cases:?}");
    thread::scope(|scope| {
        for name in cases {
            let compiler = &compiler;
            scope.spawn(move || {
                let (said, expected) = said(compiler, &Path::new(CASES).join(&name));
                assert!(
                    said == expected,
                    "{}: the compiler says\n{said}\nand not\n{expected}",
                    name.display()
                );
            });
        }
    });
}
