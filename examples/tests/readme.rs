//! The README's programs are the examples `server` and `client`.

#[test]
fn the_readme_has_the_examples_word_for_word() {
    let readme = include_str!("../../README.md");
    let examples = [include_str!("../server.rs"), include_str!("../client.rs")];
    for (name, example) in ["server.rs", "client.rs"].into_iter().zip(examples) {
        let code = example.split_once("\n\n").map_or(example, |(_, code)| code);
        let block = format!("```rust,no_run\n{code}```\n");
        assert!(readme.contains(&block), "README.md differs from examples/{name}");
    }
}
