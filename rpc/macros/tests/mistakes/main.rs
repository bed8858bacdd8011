//! The commonest mistakes in the trait of a service, and what the compiler says of them. `TRYBUILD=overwrite` writes the texts
//! anew.
#![forbid(unsafe_code)]

#[test]
fn each_common_mistake_is_named_with_its_remedy() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/cases/*.rs");
}
