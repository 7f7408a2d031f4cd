//! Templates: the built-in ones, and those that are refused.

use judging::{JudgeTemplate, Question};

#[test]
fn built_in_templates_compare_or_rate_as_their_names_say() {
    for name in JudgeTemplate::built_in_names() {
        let template = JudgeTemplate::by_name_or_path(name).unwrap();
        let expected = if name.starts_with("rate-") { Question::Rating } else { Question::Pair };
        assert_eq!(template.question(), expected, "{name}");
        assert_eq!(template.sha256().len(), 64);
    }
}

#[test]
fn a_template_in_a_file_is_read_and_bad_ones_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.txt");
    std::fs::write(&path, "You judge.\n---\n{{ history }}\n{{ response }}").unwrap();
    let own = JudgeTemplate::by_name_or_path(path.to_str().unwrap()).unwrap();
    assert_eq!(own.question(), Question::Rating);

    for (source, expected) in [
        ("no divider {{ response }}", "a line `---` must divide"),
        ("a\n---\nb", "expected the slots"),
        ("a\n---\n{{ response_a }}", "expected the slots"),
        ("a\n---\n{{ response }} {{ response_a }} {{ response_b }}", "expected the slots"),
        ("a\n---\n{{ response }} {{ mood }}", "unknown slot {{ mood }}"),
        ("a\n---\n{{ response", "template"),
    ] {
        let problem = JudgeTemplate::parse("own", source).unwrap_err().to_string();
        assert!(problem.starts_with("judge template `own`: ") && problem.contains(expected), "{source}: {problem}");
    }
    let unknown = JudgeTemplate::by_name_or_path("beauty").unwrap_err().to_string();
    assert!(unknown.contains("unknown judge template `beauty` (known: strategy-following, quality"), "{unknown}");
}
