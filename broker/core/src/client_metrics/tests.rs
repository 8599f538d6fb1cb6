//! Clients that ask and push, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Attribute, Client, Invalid, MAX_INSTANCES, Offer, Push, Refusal, Registry, check};
use crate::config::{Kind, client_metrics_key};

const ME: Uuid = Uuid::from_u128(77);
const MAX_BYTES: usize = 1000;

type Subscription<'a> = (&'a str, &'a [(&'a str, &'a str)]);

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn configured(subscriptions: &[Subscription<'_>]) -> Arc<BTreeMap<String, Arc<BTreeMap<String, String>>>> {
    Arc::new(subscriptions.iter().map(|(name, pairs)| (name.to_string(), Arc::new(values(pairs)))).collect())
}

fn registry(subscriptions: &[Subscription<'_>]) -> Registry {
    let mut registry = Registry::new(MAX_BYTES);
    registry.heed(&configured(subscriptions));
    registry
}

fn client(id: &str) -> Client {
    Client::from([(Attribute::ClientId, id.to_owned())])
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What client `c` is offered at that time.
fn ask(registry: &mut Registry, milliseconds: u64) -> Result<Offer, Refusal> {
    registry.ask(ME, client("c"), at(milliseconds))
}

fn push_of(offer: &Offer) -> Push {
    Push { subscription_id: offer.subscription_id, terminating: false, codec_is_known: true, bytes: 10 }
}

fn push(registry: &mut Registry, push: Push, milliseconds: u64) -> Result<(), Refusal> {
    registry.push(ME, client("c"), push, at(milliseconds))
}

const EVERY_SECOND: Subscription<'static> = ("all", &[("metrics", "*"), ("interval.ms", "1000")]);

#[test]
fn a_client_is_offered_what_the_subscriptions_about_it_want_together_as_often_as_the_most_eager_one() {
    let orders: Subscription<'_> =
        ("orders", &[("metrics", "a.,b."), ("interval.ms", "60000"), ("match", "client_id=orders")]);
    let often: Subscription<'_> = ("often", &[("metrics", "b.,c."), ("interval.ms", "500")]);
    let mut registry = registry(&[orders, often]);
    let mut offered = |id| {
        let offer = registry.ask(Uuid::new_v4(), client(id), at(0)).unwrap();
        (offer.metrics.into_iter().collect::<Vec<_>>().join(" "), offer.push_interval)
    };
    assert_eq!(offered("orders"), ("a. b. c.".to_owned(), at(500)));
    assert_eq!(offered("other"), ("b. c.".to_owned(), at(500)));
}

#[test]
fn without_a_subscription_nothing_is_wanted_every_five_minutes() {
    let offer = ask(&mut registry(&[]), 0).unwrap();
    assert_eq!((offer.metrics, offer.push_interval), (BTreeSet::new(), at(300_000)));
}

#[test]
fn all_metrics_are_asked_for_by_one_name() {
    let offer = ask(&mut registry(&[("some", &[("metrics", "a.")]), EVERY_SECOND]), 0).unwrap();
    assert_eq!(offer.metrics, BTreeSet::from(["*".to_owned()]));
}

#[test]
fn the_id_of_an_offer_is_that_of_another_broker_and_of_this_client_and_these_metrics_alone() {
    let offered = |subscription, id| registry(&[subscription]).ask(id, client("c"), at(0)).unwrap().subscription_id;
    let own = offered(EVERY_SECOND, ME);
    assert_eq!(own, offered(EVERY_SECOND, ME));
    // Written down: brokers of two builds must agree.
    assert_eq!(own, 1_522_690_001);
    assert_ne!(own, offered(EVERY_SECOND, Uuid::from_u128(78)));
    assert_ne!(own, offered(("all", &[("metrics", "*"), ("interval.ms", "1001")]), ME));
    assert_ne!(own, offered(("all", &[("metrics", "a"), ("interval.ms", "1000")]), ME));
}

#[test]
fn a_client_asks_and_pushes_once_an_interval() {
    let mut registry = registry(&[EVERY_SECOND]);
    let offer = ask(&mut registry, 0).unwrap();
    let mine = push_of(&offer);
    assert_eq!(ask(&mut registry, 999), Err(Refusal::TooEarly));
    assert_eq!(push(&mut registry, mine, 400), Ok(()), "the first push after the answer may come early");
    assert_eq!(push(&mut registry, mine, 1399), Err(Refusal::TooEarly));
    assert_eq!(push(&mut registry, mine, 1400), Ok(()));
    assert_eq!(ask(&mut registry, 2399), Err(Refusal::TooEarly));
    assert_eq!(ask(&mut registry, 2400), Ok(offer));
}

#[test]
fn a_push_that_does_not_fit_is_refused_for_the_first_reason() {
    let good = push_of(&ask(&mut registry(&[EVERY_SECOND]), 0).unwrap());
    let stranger = Push { subscription_id: good.subscription_id + 1, codec_is_known: false, bytes: 1001, ..good };
    for (one, refusal) in [
        (stranger, Refusal::UnknownSubscription),
        (Push { codec_is_known: false, bytes: 1001, ..good }, Refusal::UnknownCodec),
        (Push { bytes: 1001, ..good }, Refusal::TooLarge),
    ] {
        let mut registry = registry(&[EVERY_SECOND]);
        assert_eq!(push(&mut registry, one, 0), Err(refusal), "{one:?}");
        // What the answer would tell may be asked at once; the next push has to wait all the same.
        let tells = refusal != Refusal::TooLarge;
        assert_eq!(ask(&mut registry, 1).map(drop), if tells { Ok(()) } else { Err(Refusal::TooEarly) }, "{one:?}");
        assert_eq!(push(&mut registry, good, 2), Err(Refusal::TooEarly));
        assert_eq!(push(&mut registry, good, 1000), Ok(()));
    }
    assert_eq!(push(&mut registry(&[EVERY_SECOND]), Push { bytes: 1000, ..good }, 0), Ok(()));
}

#[test]
fn the_last_push_comes_at_any_time_and_none_after_it() {
    let mut registry = registry(&[EVERY_SECOND]);
    let mine = push_of(&ask(&mut registry, 0).unwrap());
    let last = Push { terminating: true, ..mine };
    assert_eq!(push(&mut registry, mine, 0), Ok(()));
    assert_eq!(push(&mut registry, last, 1), Ok(()));
    for (one, time) in [(last, 2), (mine, 5000), (mine, 10_000)] {
        assert_eq!(push(&mut registry, one, time), Err(Refusal::Terminated));
    }
}

#[test]
fn ids_that_no_client_may_have_are_refused_and_not_remembered() {
    let mut registry = registry(&[EVERY_SECOND]);
    let one = Push { subscription_id: 0, terminating: false, codec_is_known: true, bytes: 0 };
    for id in [Uuid::nil(), Uuid::from_u128(1)] {
        assert_eq!(registry.push(id, client("c"), one, at(0)), Err(Refusal::ReservedInstance));
    }
    assert!(registry.is_empty());
}

#[test]
fn once_subscriptions_change_a_client_asks_at_once_and_pushes_what_is_wanted_now() {
    let mut registry = registry(&[EVERY_SECOND]);
    let before = ask(&mut registry, 0).unwrap();
    registry.heed(&configured(&[EVERY_SECOND]));
    assert_eq!(ask(&mut registry, 1), Err(Refusal::TooEarly), "nothing has changed");
    registry.heed(&configured(&[("all", &[("metrics", "a."), ("interval.ms", "2000")])]));
    assert_eq!(push(&mut registry, push_of(&before), 2), Err(Refusal::UnknownSubscription));
    let after = ask(&mut registry, 3).unwrap();
    assert_eq!((after.push_interval, after.metrics), (at(2000), BTreeSet::from(["a.".to_owned()])));
}

#[test]
fn a_client_that_comes_by_another_connection_is_another_instance() {
    let mut registry = registry(&[EVERY_SECOND]);
    ask(&mut registry, 0).unwrap();
    assert!(registry.ask(ME, client("other"), at(1)).is_ok());
    assert_eq!(registry.len(), 1);
}

#[test]
fn instances_are_forgotten_when_they_are_silent_and_when_there_are_too_many() {
    let mut registry = registry(&[("all", &[("interval.ms", "30000")])]);
    let mut hear = |number: usize, time| {
        registry.ask(Uuid::from_u128(100 + number as u128), client("c"), at(time)).map(drop).and(Ok(registry.len()))
    };
    for number in 0..MAX_INSTANCES {
        assert_eq!(hear(number, number as u64), Ok(number + 1));
    }
    // The first is heard of again, so the second goes.
    let later = 30_000 + MAX_INSTANCES as u64;
    assert_eq!(hear(0, later), Ok(MAX_INSTANCES));
    assert_eq!(hear(MAX_INSTANCES, later), Ok(MAX_INSTANCES));
    assert_eq!(hear(0, later + 1), Err(Refusal::TooEarly), "it is still known");
    assert_eq!(hear(1, later + 1), Ok(MAX_INSTANCES), "it is not");
    // Three intervals after the last of them only those are left that were heard of since.
    let end = 90_001 + later;
    assert_eq!(hear(MAX_INSTANCES + 1, end), Ok(3));
}

#[test]
fn what_cannot_be_configured_is_refused_as_kafka_refuses_it() {
    let interval = client_metrics_key("interval.ms").unwrap();
    assert_eq!((interval.kind, interval.default), (Kind::Int, "300000"));
    for (key, value, message) in [
        ("colour", "blue", "Unknown client metrics configuration: colour"),
        ("interval.ms", "99", "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)"),
        (
            "interval.ms",
            "3600001",
            "Invalid value 3600001 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        ("interval.ms", "soon", "Invalid value soon for configuration interval.ms: Not a number of type INT"),
        ("match", "client_id=a,colour=b", "Illegal client matching pattern: colour=b"),
    ] {
        assert_eq!(check(&values(&[(key, value)])).unwrap_err().to_string(), message);
    }
    assert_eq!(check(&values(&[("colour", "b")])), Err(Invalid::Key("colour".into())));
    for good in [("interval.ms", "100"), ("interval.ms", "3600000"), ("metrics", "*"), ("match", "")] {
        assert_eq!(check(&values(&[good])), Ok(()));
    }
}
