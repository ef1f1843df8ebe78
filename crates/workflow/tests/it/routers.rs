//! Routers: by rules, by a model, and by rules when the model is of no use.

use tidegate_workflow::Orchestrator;
use tidegate_workflow::pipeline::{By, Draft, Pipeline, Route, Router};

/// A pipeline that answers with its name and the request.
fn naming(name: &'static str) -> Pipeline<str, String> {
    let mut draft = Draft::<str>::new(name).about(format!("everything about {name}"));
    let says =
        draft.stage("says").run(move |request, ()| async move { Ok(format!("{name}: {request}")) });
    draft.answer(&says.expect("new")).expect("it is there")
}

/// Rules for `code` and for `figures`; `history` only by a model.
fn router() -> Router<str, String> {
    Router::new(&naming("general"))
        .when(|request| request.contains("fn"), &naming("code"))
        .when(|request| request.contains("how many"), &naming("figures"))
        .or(&naming("history"))
}

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(10).build().expect("the settings are sound")
}

fn route(pipeline: &str, by: By) -> Route {
    Route { pipeline: pipeline.into(), by, no_choice: None }
}

#[tokio::test]
async fn the_first_rule_that_fits_chooses_and_else_the_default() {
    let (orchestrator, router) = (orchestrator(), router());
    for (request, expected) in [
        ("how many fn", route("code", By::Rule(0))),
        ("how many", route("figures", By::Rule(1))),
        ("why", route("general", By::Default)),
    ] {
        assert_eq!(router.route(&orchestrator, request).await, expected);
        let (route, answer) = router.ask(&orchestrator, request).await;
        let answer = answer.expect("nothing fails");
        assert_eq!((&route, &route.pipeline), (&expected, &answer.pipeline));
        assert_eq!(*answer.value, format!("{}: {request}", route.pipeline));
    }
    let statistics = router.statistics();
    assert_eq!((statistics.complete, statistics.asked), (3, 3), "of all its pipelines");
    assert_eq!(statistics.attempts, 3);
}

#[cfg(feature = "http")]
mod by_a_model {
    use std::time::Duration;

    use tidegate_workflow::chat::ChatClient;

    use super::{By, Router, naming, orchestrator, router};
    use crate::server::{Server, refusal, stream};

    /// Longer than any answer takes that comes at all.
    const PATIENT: Duration = Duration::from_secs(30);
    /// Short enough for a test.
    const IMPATIENT: Duration = Duration::from_millis(300);

    fn client(server: &Server) -> ChatClient {
        ChatClient::builder(server.url(), "m").build().expect("the address is one")
    }

    /// How the model's router routes `how many`, which the rules send to `figures`; and why the model did not.
    async fn choice(server: &Server, patience: Duration) -> (String, By, String) {
        let router = router().model(client(server), patience, str::to_owned);
        let (route, answer) = router.ask(&orchestrator(), "how many").await;
        assert_eq!(
            *answer.expect("there is always somebody").value,
            format!("{}: how many", route.pipeline)
        );
        (route.pipeline.to_string(), route.by, route.no_choice.unwrap_or_default())
    }

    fn figures(why: &str) -> (String, By, String) {
        ("figures".to_owned(), By::Rule(1), why.to_owned())
    }

    #[tokio::test]
    async fn a_model_chooses_among_all_pipelines_by_what_they_are_about() {
        let server = Server::start([stream(&["{\"pipe", "line\": \"history\"}"])]).await;
        let chosen = choice(&server, PATIENT).await;
        assert_eq!(chosen, ("history".to_owned(), By::Model, String::new()));
        let requests = server.requests();
        for name in ["general", "code", "figures", "history"] {
            assert!(requests[0].contains(&format!("- {name}: everything about {name}")), "{name}");
        }
        assert!(requests[0].contains("how many") && requests[0].contains("json_schema"));
    }

    #[tokio::test]
    async fn a_bad_choice_is_asked_for_once_more_with_what_is_wrong_with_it() {
        let unknown = stream(&["```json\n{\"pipeline\": \"sports\"}\n```"]);
        let good = stream(&["```json\n{\"pipeline\": \"code\"}\n```"]);
        let server = Server::start([unknown, good]).await;
        assert_eq!(choice(&server, PATIENT).await, ("code".to_owned(), By::Model, String::new()));
        let there = "there is no pipeline `sports`; there are: general, code, figures, history";
        assert!(server.requests()[1].contains(there), "{}", server.requests()[1]);

        let server = Server::start([stream(&["The one about code, surely."])]).await;
        assert_eq!(choice(&server, PATIENT).await, figures("expected value at line 1 column 1"));
        assert_eq!(server.requests().len(), 2, "once more, and then the rules");
    }

    #[tokio::test]
    async fn a_model_that_fails_leaves_the_choice_to_the_rules() {
        for (answer, why) in [
            (refusal("500 Internal Server Error", ""), "status 500: not like this"),
            (refusal("401 Unauthorized", ""), "status 401"),
            (Vec::new(), "the connection failed"),
            (stream(&["{\"pipeline\""])[..90].to_vec(), "the connection failed"),
        ] {
            let server = Server::start([answer]).await;
            let (pipeline, by, no_choice) = choice(&server, PATIENT).await;
            assert_eq!((pipeline.as_str(), by), ("figures", By::Rule(1)));
            assert!(no_choice.starts_with("agent `m` at stage `choice` failed: "), "{no_choice}");
            assert!(no_choice.contains(why), "{no_choice}");
            assert_eq!(server.requests().len(), 1, "it is not asked again");
        }
    }

    #[tokio::test]
    async fn a_model_that_takes_its_time_is_not_waited_for() {
        for server in [Server::silent(Vec::new()).await, Server::dripping().await] {
            let chosen = choice(&server, IMPATIENT).await;
            assert_eq!(chosen, figures("there was none within 300ms"));
        }
    }

    #[tokio::test]
    async fn a_model_that_is_overloaded_is_left_alone_by_later_choices() {
        let server = Server::start([refusal("429 Too Many Requests", "Retry-After: 60\r\n")]).await;
        let router = router().model(client(&server), IMPATIENT, str::to_owned);
        let orchestrator = orchestrator();
        let first = router.route(&orchestrator, "how many").await;
        assert!(first.no_choice.expect("it refused").contains("wants nothing for 60s"));
        let second = router.route(&orchestrator, "how many").await;
        assert_eq!(second.no_choice.as_deref(), Some("there was none within 300ms"));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn who_has_nothing_to_choose_is_not_asked() {
        let server = Server::start([Vec::new()]).await;
        let only = naming("general");
        let router = Router::new(&only).or(&only).model(client(&server), PATIENT, str::to_owned);
        let route = router.route(&orchestrator(), "?").await;
        assert_eq!((route.by, route.no_choice, server.requests().len()), (By::Default, None, 0));
    }
}
