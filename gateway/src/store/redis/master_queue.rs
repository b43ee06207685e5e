//! [`MasterQueue`]: sends what was asked of a master in pipelines, each with one fence (group commit).
//!
//! `WAIT` keeps its connection busy, so while one pipeline is on its way further requests collect, and go together.
//! Reads, writes and log polls have queues of their own: none waits behind another kind.

use std::sync::Arc;

use ::redis::aio::ConnectionLike as _;
use ::redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::connect::Link;
use super::fence::{self, FenceReport};
use super::fence_keys::{self, asking};
use super::master_health::MasterHealth;
use super::reply::Fault;

/// Most commands in one pipeline: bounds how long the first of them waits for the last. A request with more goes alone.
const MAX_PIPELINE: usize = 1_024;
/// Most requests waiting in a queue: whoever comes later waits outside.
pub(super) const MAX_QUEUE: usize = 4_096;

/// Times that a fence is waited for again because more replicas turn out to be attached than were waited for.
const MAX_AGAIN: usize = 2;

/// Outcome of a request. Where a slot is being moved, answers may be redirections ([`Fault::Asked`]).
pub(super) type SlotResult = Result<Vec<Value>, Fault>;

/// A request in one slot, with where its answer goes.
pub(super) struct SlotRequest {
    pub(super) commands: Arc<[Cmd]>,
    /// True if the server only imports the slot, and another one said of these commands that they are for this one.
    pub(super) asking: bool,
    /// A counter in the same slot.
    pub(super) fence: String,
    pub(super) reply: oneshot::Sender<SlotResult>,
}

/// Requests that go together: the parts of one request, in several slots of a master.
pub(super) type Bundle = Vec<SlotRequest>;

/// The way to one master for requests of one kind. Dropping it lets what is queued finish.
pub(super) struct MasterQueue {
    queue: mpsc::Sender<Bundle>,
}

impl MasterQueue {
    /// A queue of `connections`, opened when they are needed.
    pub(super) fn new(health: &Arc<MasterHealth>, connections: usize) -> Self {
        let (queue, bundles) = mpsc::channel(MAX_QUEUE);
        let bundles = Arc::new(Mutex::new(bundles));
        for _ in 0..connections {
            let worker = Worker { health: health.clone(), bundles: bundles.clone(), link: None };
            tokio::spawn(worker.run());
        }
        Self { queue }
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Queues `bundle`; waits while the queue is full.
    pub(super) async fn send(&self, bundle: Bundle) {
        if let Err(unsent) = self.queue.send(bundle).await {
            refuse(unsent.0, &Fault::Elsewhere("the master is no longer used".into()));
        }
    }
}

fn refuse(requests: Vec<SlotRequest>, fault: &Fault) {
    // A caller that went away does not need its answer.
    requests.into_iter().for_each(|request| drop(request.reply.send(Err(fault.clone()))));
}

/// One connection of a queue.
struct Worker {
    health: Arc<MasterHealth>,
    bundles: Arc<Mutex<mpsc::Receiver<Bundle>>>,
    link: Option<Link>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(requests) = self.collect().await {
            if requests.is_empty() {
                continue;
            }
            if !self.health.enter() {
                refuse(requests, &self.health.refusal());
                continue;
            }
            self.perform(requests).await;
        }
    }

    /// Waits for a bundle and takes what has collected; `None` at the end.
    async fn collect(&self) -> Option<Vec<SlotRequest>> {
        let mut bundles = self.bundles.lock().await;
        let mut requests = bundles.recv().await?;
        let mut commands = 0;
        loop {
            // Nobody waits for these any more, and none of them was sent.
            requests.retain(|request| !request.reply.is_closed());
            commands = requests.iter().map(|request| request.commands.len()).sum::<usize>().max(commands);
            if commands >= MAX_PIPELINE {
                return Some(requests);
            }
            match bundles.try_recv() {
                Ok(more) => requests.extend(more),
                Err(_) => return Some(requests),
            }
        }
    }

    async fn perform(&mut self, requests: Vec<SlotRequest>) {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => match self.health.connect().await {
                Ok(link) => link,
                Err(fault) => return refuse(requests, &fault),
            },
        };
        let asked = self.health.wait_for();
        let (pipeline, raised) = self.pipeline(&requests, &link, asked);
        let mut values = match link.connection.req_packed_commands(&pipeline, 0, pipeline.len()).await {
            Ok(values) if values.len() == pipeline.len() => values,
            Ok(_) => return refuse(requests, &Fault::Uncounted(self.health.failed("answers are missing"))),
            Err(error) => return refuse(requests, &self.broken(&error)),
        };
        let fence = values.split_off(values.len() - fence::COMMANDS);
        let mut told = match self.raise_elsewhere(&mut link, fence, raised, asked).await {
            Ok(fence) => FenceReport::read(fence),
            Err(error) => return refuse(requests, &error),
        };
        if let Ok(state) = &mut told
            && let Err(error) = self.wait_again(&mut link, state, asked).await
        {
            return refuse(requests, &error);
        }
        let is_fence = told.is_ok();
        let refusal = self.health.fenced(&link.history, told);
        // After any other outcome the connection is not used again: what it still answers belongs to nobody, or the
        // server is not what it was.
        if is_fence && !matches!(refusal, Some(Fault::Dropped(_))) {
            self.link = Some(link);
        }
        self.tell(requests, values, refusal.as_ref());
    }

    /// The commands of `requests`, and the fence behind them, with the key that it raises.
    fn pipeline(&self, requests: &[SlotRequest], link: &Link, replicas: u32) -> (Pipeline, String) {
        let commands: usize = requests.iter().map(|request| request.commands.len()).sum();
        let mut pipeline = Pipeline::with_capacity(commands + fence::COMMANDS);
        for request in requests {
            for command in request.commands.iter() {
                if request.asking {
                    pipeline.add_command(asking());
                }
                pipeline.add_command(command.clone());
            }
        }
        let key = match (self.health.fences.first(), requests.first()) {
            (Some(key), _) => key,
            (None, Some(request)) if request.asking => {
                let (key, commands) = fence_keys::alone(&request.fence);
                commands.into_iter().for_each(|command| _ = pipeline.add_command(command));
                key
            }
            (None, request) => request.map_or_else(String::new, |request| request.fence.clone()),
        };
        fence::add(&mut pipeline, &key, &link.node, replicas);
        (pipeline, key)
    }

    /// The answers to a fence; where its key is on its way to another master, those to one that raises another key.
    async fn raise_elsewhere(
        &self,
        link: &mut Link,
        mut fence: Vec<Value>,
        mut raised: String,
        replicas: u32,
    ) -> Result<Vec<Value>, Fault> {
        let mut times = 0;
        while fence_keys::is_elsewhere(fence.first()) {
            times += 1;
            let Some(other) = self.health.fences.instead_of(&raised, times) else { break };
            raised = other;
            let mut again = Pipeline::with_capacity(fence::COMMANDS);
            fence::add(&mut again, &raised, &link.node, replicas);
            let answered = link.connection.req_packed_commands(&again, 0, fence::COMMANDS).await;
            fence = answered.map_err(|error| Fault::Uncounted(self.health.failed(&error.to_string())))?;
        }
        Ok(fence)
    }

    fn broken(&self, error: &RedisError) -> Fault {
        let why = self.health.failed(&error.to_string());
        if error.is_timeout() { Fault::Uncounted(why) } else { Fault::Dropped(why) }
    }

    /// Waits again where replicas are attached that were not among the `asked` that were waited for: they have just come.
    async fn wait_again(&self, link: &mut Link, told: &mut FenceReport, mut asked: u32) -> Result<(), Fault> {
        for _ in 0..MAX_AGAIN {
            let needed = self.health.learn(told);
            if needed <= asked || !told.may_come(self.health.fence) {
                return Ok(());
            }
            asked = needed;
            let (pipeline, length) = fence::again(&link.node, asked);
            let values = link.connection.req_packed_commands(&pipeline, 0, length).await;
            let values = values.map_err(|error| self.broken(&error))?;
            if told.update(values).is_err() {
                return Err(Fault::Uncounted(self.health.failed("the fence was not answered")));
            }
        }
        self.health.learn(told);
        Ok(())
    }

    /// Hands the answers out. They count if nothing speaks against the fence.
    fn tell(&self, requests: Vec<SlotRequest>, values: Vec<Value>, refusal: Option<&Fault>) {
        let mut values = values.into_iter();
        let mut answers: Vec<Vec<Value>> = Vec::with_capacity(requests.len());
        for request in &requests {
            let mut one = || {
                request.asking.then(|| values.next());
                values.next()
            };
            answers.push(request.commands.iter().filter_map(|_| one()).collect());
        }
        for (request, values) in requests.into_iter().zip(answers) {
            let outcome = match (Fault::among(&values), refusal) {
                // What an error says of its own request is certain: a refusal has no effect that could be lost. Only
                // one that tells of stored data counts no more than the data would: also that a key has left, or never was.
                (Some(Fault::Failed(_) | Fault::Asked { .. }) | None, Some(refusal)) => Err(refusal.clone()),
                (Some(Fault::Asked { .. }) | None, None) => Ok(values),
                (Some(fault), _) => {
                    if fault.is_elsewhere() {
                        self.health.suspect();
                    }
                    Err(fault)
                }
            };
            drop(request.reply.send(outcome));
        }
    }
}

#[cfg(test)]
#[path = "master_queue_tests.rs"]
mod tests;
