//! A connection of one kind of request, without a task of its own.

use super::*;

#[tokio::test]
async fn a_direct_connection_loses_nothing_when_a_wait_for_an_answer_is_given_up() {
    let broker = Broker::bind().await;
    let address = broker.address;
    let (half, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    tokio::spawn({
        let (half, go_on) = (half.clone(), go_on.clone());
        async move {
            let (mut stream, _) = broker.listener.accept().await.unwrap();
            for session_id in 0.. {
                let Some((header, _)) = next_request(&mut stream).await else { return };
                let action = match header.key().unwrap() {
                    ApiKey::ApiVersions => answer::<ApiVersionsRequest>(&header, &api_versions(&[(ApiKey::Fetch, 16)])),
                    _ => answer::<FetchRequest>(&header, &FetchResponse { session_id, ..Default::default() }),
                };
                let Action::Answer(bytes) = action else { return };
                let (first, second) = bytes.split_at(10);
                stream.write_all(first).await.unwrap();
                if session_id > 0 {
                    half.notify_one();
                    go_on.notified().await;
                }
                stream.write_all(second).await.unwrap();
            }
        }
    });
    let mut connection = DirectConnection::<FetchRequest>::open("127.0.0.1", address.port(), &config()).await.unwrap();
    connection.send(&FetchRequest::default()).unwrap();
    connection.send(&FetchRequest::default()).unwrap();
    let mut sessions = Vec::new();
    while sessions.len() < 2 {
        tokio::select! {
            response = connection.receive() => sessions.push(response.unwrap().session_id),
            () = half.notified() => go_on.notify_one(),
        }
    }
    assert_eq!(sessions, [1, 2]);
}

#[tokio::test]
async fn a_direct_connection_ends_where_answers_come_out_of_order_or_unasked() {
    let broker = Broker::bind().await;
    let address = broker.address;
    broker.run(|header, _| match header.key().unwrap() {
        ApiKey::ApiVersions => answer::<ApiVersionsRequest>(header, &api_versions(&[])),
        _ => {
            let header = RequestHeader { correlation_id: header.correlation_id + 1, ..header.clone() };
            answer::<FetchRequest>(&header, &FetchResponse::default())
        }
    });
    let mut connection = DirectConnection::<FetchRequest>::open("127.0.0.1", address.port(), &config()).await.unwrap();
    connection.send(&FetchRequest::default()).unwrap();
    let error = connection.receive().await.unwrap_err();
    assert!(matches!(&error, Error::Disconnected { reason, .. } if reason.contains("answered request 2")), "{error}");
}
