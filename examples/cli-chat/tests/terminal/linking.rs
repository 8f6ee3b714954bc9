//! `--link`: a second terminal with the same account.

use tokio::process::Child;

use super::*;

fn run(world: &World, arguments: &[&str]) -> Child {
    Command::new(PROGRAM)
        .args(arguments)
        .args(["--plain", "--relay", &world.url(), "--state"])
        .arg(world.dir().join("accounts"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// What follows `before` in the next line that contains it.
async fn after(output: &mut Lines<BufReader<ChildStdout>>, before: &str) -> String {
    loop {
        let line = within(before, output.next_line()).await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once(before) {
            return rest.to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_terminal_is_linked_with_the_code_that_it_shows() {
    let world = World::start().await;
    let mut second = run(&world, &["--name", "tablet", "--link"]);
    let mut shown = BufReader::new(second.stdout.take().unwrap()).lines();
    let code = after(&mut shown, "--link ").await;
    let mut first = run(&world, &["--name", "ada", "--link", &code]);
    let mut asked = BufReader::new(first.stdout.take().unwrap()).lines();
    let question = after(&mut asked, "tablet wants to be linked to this account. Does it show ").await;
    let digits = after(&mut shown, "must show ").await;
    assert_eq!(question[..9], digits[..9], "both show the same digits");
    first.stdin.as_mut().unwrap().write_all(b"yes\n").await.unwrap();
    prints(&mut asked, "tablet is linked as device 2.").await;
    prints(&mut shown, "This terminal is linked.").await;

    // A code is refused with the reason.
    let refused = Command::new(PROGRAM)
        .args(["--name", "ada", "--plain", "--relay", &world.url(), "--link", &code[..40], "--state"])
        .arg(world.dir().join("accounts"))
        .output();
    drop((first, second));
    let refused = within("an error", refused).await.unwrap();
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("that is not a code to link: the code is cut"), "{why}");
}
