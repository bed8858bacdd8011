//! Bad days for recipes in Python.

use std::time::Duration;

use integration_tests::process::Process;
use integration_tests::programs;

#[test]
fn the_recipes_of_the_tutorial_have_exactly_the_listed_bugs() {
    let script = programs::python("torture/kazoo_recipe.py");
    let mut torture = programs::zk_mini();
    torture.args(["torture", "--expect"]).arg(programs::package_dir().join("torture/kazoo_recipe.bugs"));
    torture.arg("--").arg(script.get_program()).args(script.get_args());
    let mut torture = Process::start(&mut torture);
    assert!(torture.wait_for(Duration::from_secs(120)).success(), "{torture}");
    torture.assert_nothing_left();
}
