//! The scenarios of runners that the simulation's model of control plays, played against this control and its database:
//! where the two differ, one of them is wrong.
//!
//! Leases are so long that none runs out by itself; a scenario lets time pass by moving a job's times in the database.

use crate::{
    bed::{Bed, Control, Org, Reply, code, environment, settings, text},
    jobs_hosts::{Host, job},
};
use alphagate_contract::job::{
    Ending,
    dispatch::{Claimed, Held, Output},
};
use alphagate_runner::scenario::{self, Driver, Fate, Scenario, Verdict};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// Scenarios at once: each has a database and a control of its own.
const AT_ONCE: usize = 4;
const SETTINGS: [(&str, &str); 2] = [("AG_LEASE_MS", "600000"), ("AG_RUNNER_POLL_MS", "300")];

struct Real {
    bed: Bed,
    org: Org,
    job: String,
    hosts: BTreeMap<u8, Host>,
    /// Another replica, after a restart.
    restarted: Option<Control>,
}

impl Real {
    async fn new() -> Self {
        let bed = Bed::with(&SETTINGS).await;
        let org = bed.org("a").await;
        let job = bed.job(&org, job()).await;
        Self { bed, org, job, hosts: BTreeMap::new(), restarted: None }
    }

    fn url(&self) -> String {
        self.restarted.as_ref().map_or_else(|| self.bed.control.url.clone(), |control| control.url.clone())
    }

    async fn host(&mut self, number: u8) -> Host {
        if !self.hosts.contains_key(&number) {
            let token = self.bed.runner_token().await;
            self.hosts.insert(number, Host::register_at(&self.bed, &self.url(), &token, json!({})).await);
        }
        let mut host = self.hosts[&number].clone();
        host.url = self.url();
        host
    }

    /// Changes the job's row as if time had passed.
    async fn shift(&self, set: &str) {
        let id = Uuid::parse_str(self.job.trim_start_matches("job_")).unwrap();
        let mut db = self.bed.database.superuser().await;
        let statement = format!("UPDATE jobs SET {set} WHERE id = $1");
        sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).execute(&mut db).await.unwrap();
    }

    /// Waits until control has ended what has run out, at its next beat.
    async fn given_back(&self) {
        for _ in 0..1_200 {
            if !["starting", "running"].contains(&text(&self.state().await["state"]).as_str()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the lease does not run out: {:#}", self.state().await);
    }

    async fn state(&self) -> Value {
        self.bed.job_now(&self.org, &self.job).await
    }
}

fn verdict(reply: &Reply) -> Verdict {
    match reply.0 {
        204 => Verdict::Accepted,
        _ => {
            assert_eq!(code(reply), (409, "attempt_superseded"));
            Verdict::Superseded
        }
    }
}

impl Driver for Real {
    async fn claim(&mut self, runner: u8) -> Option<Claimed> {
        let claimed = self.host(runner).await.claim(8, 8).await.pop();
        claimed.map(|claimed| serde_json::from_value(claimed).unwrap())
    }

    async fn renew(&mut self, runner: u8, held: Option<Held>) -> bool {
        let body = json!({ "held": held.into_iter().collect::<Vec<_>>() });
        let (status, answer) = self.host(runner).await.post("renew", &body).await;
        assert_eq!(status, 200, "{answer}");
        !answer["lost"].as_array().unwrap().is_empty()
    }

    async fn append(&mut self, runner: u8, output: Output) -> Verdict {
        verdict(&self.host(runner).await.post("output", &serde_json::to_value(output).unwrap()).await)
    }

    async fn finish(&mut self, runner: u8, held: Held, ending: Ending) -> Verdict {
        let body = json!({ "held": held, "report": { "ending": ending } });
        verdict(&self.host(runner).await.post("finish", &body).await)
    }

    async fn commands(&mut self, runner: u8) -> Vec<Held> {
        let (status, answer) =
            self.host(runner).await.post("commands", &json!({"known": [], "draining": false})).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer["stop"].clone()).unwrap()
    }

    async fn leave(&mut self, runner: u8) {
        let host = self.host(runner).await;
        let url = format!("{}/runner/v1/runners/{}", host.url, host.id);
        let answer = host.http.delete(url).bearer_auth(&host.token).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        self.given_back().await;
    }

    async fn lapse(&mut self) {
        self.shift("lease_until = now() - interval '1 second'").await;
        self.given_back().await;
    }

    async fn rest(&mut self) {
        self.shift(
            "due_at = least(due_at, now()), lease_until = CASE state WHEN 'queued' THEN lease_until - interval '1 hour'
                ELSE lease_until END",
        )
        .await;
    }

    async fn cancel(&mut self) {
        let path = format!("/v1/jobs/{}/cancel", self.job);
        assert_eq!(self.bed.post(&self.org, &path, json!({})).await.0, 200);
    }

    async fn restart(&mut self) {
        let environment = environment(&self.bed.secrets, &self.bed.database, self.bed.edge.url());
        let next = Control::start(settings(&environment, &SETTINGS)).await;
        match self.restarted.replace(next) {
            Some(mut before) => before.stop().await,
            None => self.bed.control.stop().await,
        }
        // The bed's own requests go to the control that is there.
        self.bed.control.url = self.url();
    }

    async fn fate(&mut self) -> Fate {
        let job = self.state().await;
        match text(&job["state"]).as_str() {
            "canceled" => Fate::Canceled,
            "done" | "dead" => Fate::Ended(serde_json::from_value(job["outcome"].clone()).unwrap()),
            _ => Fate::Open,
        }
    }
}

async fn play(scenario: Scenario) -> Option<String> {
    let mut control = Real::new().await;
    let result = scenario::play(&scenario, &mut control).await;
    if let Some(mut restarted) = control.restarted.take() {
        restarted.stop().await;
    }
    // The connections of thirty controls would be more than the server takes.
    control.bed.control.stop().await;
    result.err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn control_and_the_simulations_model_play_every_scenario_alike() {
    let mut scenarios = scenario::all().into_iter();
    let mut wrong = Vec::new();
    loop {
        let some: Vec<_> =
            scenarios.by_ref().take(AT_ONCE).map(|scenario| tokio::spawn(play(scenario))).collect();
        if some.is_empty() {
            break;
        }
        for played in some {
            wrong.extend(played.await.unwrap());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
