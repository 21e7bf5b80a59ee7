use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

fn email(subject: &str, text: &str) -> Email {
    Email {
        connection: "mail".to_owned(),
        to: vec!["Ada <ada@example.org>".to_owned(), "bob@example.org".to_owned()],
        cc: Vec::new(),
        bcc: vec!["hidden@example.org".to_owned()],
        from: Some("flow@example.org".to_owned()),
        subject: subject.to_owned(),
        text: Some(text.to_owned()),
        html: None,
    }
}

fn plain(port: u16) -> Connection {
    let mut connection = Connection::new("mail", "smtp");
    connection.host = Some("127.0.0.1".to_owned());
    connection.port = Some(port);
    connection.extra.insert("tls".to_owned(), "none".into());
    connection
}

/// One conversation with a mail server (RFC 5321): what it is told, and what the message is.
async fn server(listener: TcpListener, refuses: &str) -> (Vec<String>, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (mut commands, mut message) = (Vec::new(), String::new());
    writer.write_all(b"220 mail ESMTP\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
        commands.push(line.clone());
        let answer = match verb.as_str() {
            _ if !refuses.is_empty() && line.contains(refuses) => "550 no such user\r\n",
            "EHLO" => "250-mail\r\n250 8BITMIME\r\n",
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                    message.push('\n');
                }
                "250 taken\r\n"
            }
            "QUIT" => {
                let _ = writer.write_all(b"221 bye\r\n").await;
                break;
            }
            _ => "250 ok\r\n",
        };
        writer.write_all(answer.as_bytes()).await.unwrap();
    }
    (commands, message)
}

async fn sent(email: &Email, refuses: &'static str) -> (Result<String, NoticeError>, Vec<String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = plain(listener.local_addr().unwrap().port());
    let server = tokio::spawn(server(listener, refuses));
    let result = send(&connection, email).await;
    let (commands, message) = server.await.unwrap();
    (result, commands, message)
}

#[tokio::test]
async fn a_message_reaches_everybody_and_hides_the_blind_copies() {
    let (result, commands, message) = sent(&email("Run failed: \u{e9}t\u{e9}", "line one\n.\nline three"), "").await;
    assert_eq!(result.unwrap(), "the server took it: 250");
    let told = |text: &str| commands.iter().any(|command| command.contains(text));
    assert!(told("MAIL FROM:<flow@example.org>") && told("RCPT TO:<hidden@example.org>"), "{commands:?}");
    assert!(
        message.contains("To: \"Ada\" <ada@example.org>, bob@example.org")
            || message.contains("To: Ada <ada@example.org>, bob@example.org"),
        "{message}"
    );
    assert!(!message.contains("hidden@"), "{message}");
    assert!(message.contains("\n.\nline three") && !message.contains("\u{e9}"), "{message}");
}

#[tokio::test]
async fn a_refusal_is_for_good_and_an_absent_server_is_not() {
    let (result, ..) = sent(&email("x", "y"), "RCPT TO:<bob").await;
    let Err(NoticeError::ForGood(why)) = result else { panic!("{result:?}") };
    assert!(why.contains("connection `mail` did not take it") && why.contains("550"), "{why}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let result = send(&plain(free), &email("x", "y")).await;
    assert!(matches!(result, Err(NoticeError::Failed(_))), "{result:?}");
    let mut nobody = email("x", "y");
    nobody.to = vec!["not an address".to_owned()];
    let Err(NoticeError::ForGood(why)) = send(&plain(1), &nobody).await else { panic!("an address that is none") };
    assert!(why.contains("hint: `ada@example.org`"), "{why}");
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_hold_the_task_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = plain(listener.local_addr().unwrap().port());
    let result = send_within(&connection, &email("x", "y"), Duration::from_millis(50)).await;
    let Err(NoticeError::Failed(why)) = result else { panic!("{result:?}") };
    assert!(why.contains("did not answer within") && why.contains("hint: is `tls`"), "{why}");
}

#[tokio::test]
async fn a_message_to_nobody_is_refused() {
    let mut nobody = email("x", "y");
    (nobody.to, nobody.bcc) = (vec![" , ".to_owned()], Vec::new());
    let Err(NoticeError::ForGood(why)) = send(&plain(1), &nobody).await else { panic!("a message to nobody") };
    assert!(why.starts_with("nobody is named as the recipient\nhint: "), "{why}");
}

proptest! {
    #[test]
    fn no_text_becomes_another_header(subject in ".{0,80}", name in ".{0,40}", text in ".{0,80}") {
        let mut email = email(&subject, &text);
        email.from = Some(format!("{name} <flow@example.org>"));
        let Ok(message) = message(&plain(1), &email) else { return Ok(()) };
        let formatted = String::from_utf8_lossy(&message.formatted()).into_owned();
        let head = formatted.split("\r\n\r\n").next().unwrap();
        // Lines that go on begin with a space.
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        for name in &names {
            prop_assert!(
                ["From", "To", "Subject", "Date", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"].contains(name),
                "{} in {}", name, head
            );
        }
        prop_assert_eq!(names.iter().filter(|name| **name == "Subject").count(), 1);
        let is_clean = !head.contains('\u{0}') && !head.replace("\r\n", "").contains(['\r', '\n']);
        prop_assert!(is_clean, "{}", head);
    }
}
