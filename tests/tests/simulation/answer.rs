//! People answer what tasks ask: some may not, some answer nonsense, some at the same time as others.

use anyhow::ensure;
use flow_model::question::Answer;
use flow_store::StoreError;
use flow_store::read::{Page, QuestionFilter, QuestionRecord};
use rand::prelude::*;
use serde_json::json;

use crate::shape::ASSIGNEE;
use crate::world::World;

impl World {
    pub async fn answer(&mut self) -> anyhow::Result<String> {
        let open = self.questions(false).await?;
        let Some(asked) = open.choose(&mut self.rng).cloned() else { return Ok("is asked nothing".to_owned()) };
        let answer = self.some_answer(&asked);
        let who = *[ASSIGNEE, "bob", "eve"].choose(&mut self.rng).expect("there are some");
        let now = self.now();
        let (first, second) = if self.rng.random_bool(0.4) {
            let (first, second) = tokio::join!(
                self.store.answer_question(now, asked.task_instance_id, &answer, who),
                self.store.answer_question(now, asked.task_instance_id, &answer, who)
            );
            (first, Some(second))
        } else {
            (self.store.answer_question(now, asked.task_instance_id, &answer, who).await, None)
        };
        let may = asked.question.may_answer(who);
        let fits = asked.question.complete(&answer).is_ok();
        let counted = usize::from(first.is_ok()) + usize::from(second.as_ref().is_some_and(Result::is_ok));
        let expected = usize::from(may && fits);
        let told = format!("{who} answers {} {} {}", asked.dag_id, asked.run_id, asked.task_id);
        ensure!(counted == expected, "{told} with {answer:?}: it counted {counted} times, not {expected}");
        for failure in [Some(first), second].into_iter().flatten().filter_map(Result::err) {
            match failure {
                StoreError::Denied(_) if !may => {}
                StoreError::Conflict(_) if may => {}
                other => anyhow::bail!("{told}: {other:?}"),
            }
        }
        Ok(format!("{told} {:?}: {counted}", answer.chosen_options))
    }

    fn some_answer(&mut self, asked: &QuestionRecord) -> Answer {
        let options = &asked.question.options;
        let mut chosen: Vec<String> = options.choose(&mut self.rng).cloned().into_iter().collect();
        match self.rng.random_range(0..10) {
            0 => chosen.push("Perhaps".to_owned()),
            1 => chosen.clear(),
            _ => {}
        }
        let params_input = match self.rng.random_range(0..6) {
            0 => json!({ "count": 3 }),
            1 => json!({ "count": "many" }),
            _ => json!({}),
        };
        Answer { chosen_options: chosen, params_input: params_input.as_object().cloned().unwrap_or_default() }
    }

    /// Everybody who is asked says yes. How many there were.
    pub async fn answer_everything(&mut self) -> anyhow::Result<usize> {
        let open = self.questions(false).await?;
        for asked in &open {
            let chosen_options = asked.question.options.first().cloned().into_iter().collect();
            let answer = Answer { chosen_options, ..Answer::default() };
            if !asked.question.may_answer("eve") {
                let denied = self.store.answer_question(self.now(), asked.task_instance_id, &answer, "eve").await;
                ensure!(matches!(denied, Err(StoreError::Denied(_))), "eve answers {asked:?}: {denied:?}");
            }
            self.store.answer_question(self.now(), asked.task_instance_id, &answer, ASSIGNEE).await?;
        }
        Ok(open.len())
    }

    /// Open questions, or those with an answer, in an order that does not depend on the database's keys.
    pub async fn questions(&self, is_answered: bool) -> anyhow::Result<Vec<QuestionRecord>> {
        let filter = QuestionFilter { is_answered: Some(is_answered), ..QuestionFilter::default() };
        let mut questions = self.store.list_questions(&filter, Page::first(10_000)).await?.0;
        questions.sort_by_key(|one| (one.dag_id.clone(), one.run_id.clone(), one.task_id.clone(), one.map_index));
        Ok(questions)
    }
}
