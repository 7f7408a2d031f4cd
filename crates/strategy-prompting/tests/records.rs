//! Records: what they hold, and that they suffice to make the continuation again.

use std::fs;

use llm_runtime::{FinishReason, Prompt, TextModel};
use strategy_prompting::{
    CONTINUATIONS, ContinuationRecord, ExistingRun, InstructionTemplate, SweepPlan, SystemRole, TornLine, part,
    postprocess_file, read_records,
};

use crate::fake_model::FakeModel;
use crate::run::run;
use crate::sample_data::{examples, plan, settings, strategies};

fn records(plan: &SweepPlan, model: &mut FakeModel) -> Vec<ContinuationRecord> {
    let folder = tempfile::tempdir().unwrap();
    run(plan, folder.path(), model, ExistingRun::Refuse).unwrap();
    read_records(&folder.path().join(CONTINUATIONS), TornLine::Refuse).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_record_makes_its_request_again() {
    for (format, role) in [("llama3", SystemRole::Native), ("mistral", SystemRole::InFirstUser)] {
        for template in ["t4", "chat-none"] {
            let template = InstructionTemplate::built_in(template).unwrap();
            let plan = SweepPlan::new(settings(), &strategies(), template, &examples()).unwrap();
            let mut model =
                FakeModel { template: llm_runtime::ChatTemplate::built_in_by_name(format), ..FakeModel::new() };
            let records = records(&plan, &mut model);
            assert_eq!(records.len(), plan.len());
            for item in plan.items() {
                let id = item.id().unwrap();
                let record = records.iter().find(|record| record.id == id).unwrap();
                let (again, first) = (record.request(item.key).unwrap(), item.request(role).unwrap());
                assert_eq!((again.prompt, again.options), (first.prompt, first.options));
            }
        }
    }
}

#[test]
fn a_record_holds_what_was_asked_and_what_came() {
    let plan = plan(settings());
    let records = records(&plan, &mut FakeModel::new());
    let record = records.iter().find(|record| record.example == "ben-3").unwrap();
    assert_eq!((record.conversation.as_str(), record.turn, record.run_seed), ("ben", 3, 7));
    assert_eq!(record.dialog.len(), 5);
    assert_eq!((record.dialog[0].as_str(), record.speakers[0].as_str()), ("ben says 1\n", "seeker"));
    assert_eq!(record.model, FakeModel::new().identity());
    assert_eq!((record.instruction.name.as_str(), record.strategy_set.as_str()), ("t4", "extes15"));
    assert_eq!((record.new_tokens, record.tokens.len(), record.finish_reason), (2, 2, FinishReason::EndOfSequence));
    assert_eq!(record.prompt_tokens, record.prompt.len());
    let name = record.spans.iter().find(|span| span.label == part::STRATEGY_NAME).unwrap();
    assert_eq!(record.prompt[name.bytes.clone()], format!("\"{}\"", record.strategy));
    let line = serde_json::to_string(record).unwrap();
    assert!(!line.contains("\"reused\":") && !line.contains("\"response\":") && !line.contains('\n'));
}

#[test]
fn a_damaged_record_is_an_error_and_no_panic() {
    let mut record = records(&plan(settings()), &mut FakeModel::new()).remove(0);
    record.speakers[0] = "narrator".into();
    let error = record.request(0).unwrap_err().to_string();
    assert!(error.contains("narrator"), "{error}");
    record.speakers.pop();
    assert!(record.messages().is_err());
    record.instruction.source = "{x}".into();
    assert!(record.messages().unwrap_err().to_string().contains("unknown slot"));
}

#[test]
fn post_processing_adds_the_response_and_keeps_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    run(&plan, folder.path(), &mut FakeModel::new(), ExistingRun::Refuse).unwrap();
    let path = folder.path().join(CONTINUATIONS);
    let output = folder.path().join("responses.jsonl");
    let summary = postprocess_file(&path, &output, TornLine::Refuse).unwrap();
    assert_eq!((summary.conversations, summary.continuations), (18, 270));
    for record in read_records(&output, TornLine::Refuse).unwrap() {
        let record = record.unwrap();
        assert_eq!(record.text, format!("assistant: {}", record.response.as_deref().unwrap()));
        let Prompt::Chat(_) = record.request(0).unwrap().prompt else { panic!("a chat was expected") };
    }
    // In place, and a torn input leaves the output as it was.
    postprocess_file(&output, &output, TornLine::Refuse).unwrap();
    let before = fs::read(&output).unwrap();
    fs::write(&path, "{\"id\":").unwrap();
    assert!(postprocess_file(&path, &output, TornLine::Refuse).is_err());
    assert_eq!(fs::read(&output).unwrap(), before);
    assert!(
        fs::read_dir(folder.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().ends_with(".partial") })
    );
}
