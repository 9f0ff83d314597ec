//! Tokens, and what the hub refuses.

use crate::common::{Setup, assert_says, text};
use crate::server::{Faults, ID};
use luxedit::error::Cancel;
use luxedit::hub::offer;
use luxedit::settings::Precision;

#[test]
fn the_token_goes_to_the_hub_alone() {
    let mut setup = Setup::new();
    setup.server.fail(Faults {
        needs_token: true,
        ..Faults::default()
    });
    let refused = offer(&setup.hub, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&refused.to_string(), &["private", "HF_TOKEN"]);
    setup.hub.token = Some("hf_wrong".into());
    let refused = offer(&setup.hub, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&refused.to_string(), &["refuses the token"]);

    std::fs::write(setup.home.path().join("token"), "hf_secret\n").unwrap();
    setup.server.forget_requests();
    let out = setup.run(&["model", "get", ID]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let requests = setup.server.requests();
    assert!(requests.iter().any(|r| r.host.starts_with("localhost")));
    for request in requests {
        let is_hub = request.host.starts_with("127.0.0.1");
        assert_eq!(request.token.is_some(), is_hub, "{request:?}");
    }
}

#[test]
fn what_the_hub_refuses_is_said_in_words() {
    let setup = Setup::new();
    let ask = |id: &str| {
        let outcome = offer(&setup.hub, id, Precision::Half, &Cancel::default());
        outcome.unwrap_err().to_string()
    };
    assert_says(&ask("someone/else"), &["knows no someone/else"]);
    assert_says(
        &ask("../../etc/passwd"),
        &["no model of the Hub", "owner/name"],
    );
    setup.server.fail(Faults {
        status: Some(403),
        ..Faults::default()
    });
    assert_says(&ask(ID), &["accept its terms", ID]);
    setup.server.fail(Faults {
        status: Some(503),
        ..Faults::default()
    });
    assert_says(&ask(ID), &["fault of its own", "503"]);

    let mut nobody = setup.hub.clone();
    nobody.endpoint = "http://127.0.0.1:1".into();
    let error = offer(&nobody, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&error.to_string(), &["does not answer", "HF_ENDPOINT"]);
}
