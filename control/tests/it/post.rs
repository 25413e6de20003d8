//! Mail by SMTP: what is sent is what a server gets, and what could not be sent is sent later, by whoever is there.

use crate::{bed::Bed, people::PASSWORD};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Serves one SMTP session; gives the mail's recipient and text.
async fn serve(socket: TcpStream) -> Option<(String, String)> {
    let mut socket = BufReader::new(socket);
    let (mut to, mut text, mut in_data) = (String::new(), String::new(), false);
    socket.write_all(b"220 test ESMTP\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if in_data && line == ".\r\n" {
            socket.write_all(b"250 kept\r\n").await.ok()?;
            return Some((to, text));
        }
        if in_data {
            text.push_str(&line);
            continue;
        }
        let answer = match line.get(..4).unwrap_or_default() {
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            "RCPT" => {
                line.trim().clone_into(&mut to);
                "250 ok\r\n"
            }
            _ => "250 ok\r\n",
        };
        socket.write_all(answer.as_bytes()).await.ok()?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mail_outlives_the_server_that_was_away_and_the_process_that_wrote_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    // Nobody is there.
    drop(listener);
    let mut bed = Bed::with(&[("AG_SMTP_URL", &url)]).await;
    let account = json!({"email": "ada@example.org", "password": PASSWORD, "name": "Ada"});
    assert_eq!(bed.anyone("/v1/auth/sign-up", account).await.0, 202, "no answer waits for SMTP");
    let mut db = bed.database.superuser().await;
    let tried = "SELECT attempts FROM mails WHERE attempts > 0";
    while sqlx::query(tried).fetch_optional(&mut db).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bed.control.stop().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sent, mut kept) = mpsc::channel(4);
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Some(mail) = serve(socket).await {
                let _ = sent.send(mail).await;
            }
        }
    });
    sqlx::query("UPDATE mails SET due_at = now()").execute(&mut db).await.unwrap();
    let mut replica = bed.replica(&[("AG_SMTP_URL", &url)]).await;
    let (to, text) = tokio::time::timeout(Duration::from_secs(30), kept.recv()).await.unwrap().unwrap();
    assert_eq!(to, "RCPT TO:<ada@example.org>");
    assert!(text.contains("From: \"Alpha Gate\" <") || text.contains("From: Alpha Gate <"), "{text}");
    let token = text.lines().find(|line| line.starts_with("agm_")).unwrap();
    let confirm = json!({"token": token, "password": PASSWORD});
    let verified =
        bed.http.post(format!("{}/v1/auth/verify", replica.url)).json(&confirm).send().await.unwrap();
    assert_eq!(verified.status(), 200);
    let left = "SELECT FROM mails";
    while sqlx::query(left).fetch_optional(&mut db).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    replica.stop().await;
    server.abort();
}
