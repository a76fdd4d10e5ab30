//! The asynchronous way to the focus, for the HTTP API.

use std::sync::Arc;

use cau_model::command::{Patch, SetLayout, Who};
use cau_model::layout::Equipment;
use cau_model::ornament::Message;
use cau_model::{ConferenceId, OperationId, ParticipantId, Settings, snapshot};
use tokio::sync::{mpsc, oneshot};

use crate::kept::Kept;
use crate::request::{Answer, Error, Order, Request, Totals, Wanted};

/// Asks the focus, wherever it runs. Cheap to clone. Requests wait in a bounded queue; a full one makes the asker wait.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Request>);

type Answered<T> = Result<T, Error>;

impl Handle {
    /// A handle and the queue its requests come out of, which holds `capacity` of them.
    pub fn new(capacity: usize) -> (Handle, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Handle(sender), receiver)
    }

    /// The raw queue, for [`Request::Media`] and [`Request::Drain`].
    pub fn sender(&self) -> &mpsc::Sender<Request> {
        &self.0
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Answered<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(request(answer)).await.map_err(|_| Error::ended())?;
        answered.await.unwrap_or_else(|_| Err(Error::ended()))
    }

    /// See [`Request::List`].
    ///
    /// # Errors
    /// As all of these: [`Error::Refused`] with the reason, [`Error::Unavailable`] when the focus has ended.
    pub async fn list(&self) -> Answered<Vec<snapshot::Conference>> {
        self.ask(Request::List).await
    }

    /// See [`Request::Conference`].
    ///
    /// # Errors
    /// Not found.
    pub async fn conference(&self, id: ConferenceId) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Conference(id, answer)).await
    }

    /// See [`Request::Settings`].
    ///
    /// # Errors
    /// Not found.
    pub async fn settings(&self, id: ConferenceId) -> Answered<Settings> {
        self.ask(|answer| Request::Settings(id, answer)).await
    }

    /// See [`Request::Create`].
    ///
    /// # Errors
    /// Conflict, something that does not work yet, too many conferences.
    pub async fn create(&self, id: ConferenceId, settings: Settings) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Create { id, settings: Box::new(settings), answer }).await
    }

    /// See [`Request::Change`].
    ///
    /// # Errors
    /// Not found, conflict, something that does not work yet.
    pub async fn change(&self, id: ConferenceId, settings: Settings) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Change { id, settings: Box::new(settings), answer }).await
    }

    /// See [`Request::End`].
    ///
    /// # Errors
    /// Not found.
    pub async fn end(&self, id: ConferenceId) -> Answered<()> {
        self.ask(|answer| Request::End(id, answer)).await
    }

    /// See [`Request::Participants`].
    ///
    /// # Errors
    /// Not found.
    pub async fn participants(&self, id: ConferenceId) -> Answered<Vec<snapshot::Participant>> {
        self.ask(|answer| Request::Participants(id, answer)).await
    }

    /// See [`Request::Participant`].
    ///
    /// # Errors
    /// Not found.
    pub async fn participant(
        &self,
        conference: ConferenceId,
        participant: ParticipantId,
    ) -> Answered<snapshot::Participant> {
        self.ask(|answer| Request::Participant(conference, participant, answer)).await
    }

    /// See [`Request::Patch`].
    ///
    /// # Errors
    /// Not found, conflict (has left), invalid.
    pub async fn patch(
        &self,
        conference: ConferenceId,
        who: Who,
        patch: Patch,
    ) -> Answered<Vec<snapshot::Participant>> {
        self.ask(|answer| Request::Patch { conference, who, patch, answer }).await
    }

    /// See [`Request::Invite`].
    ///
    /// # Errors
    /// Not found, invalid, full.
    pub async fn invite(
        &self,
        conference: ConferenceId,
        sites: Vec<Wanted>,
    ) -> Answered<Vec<snapshot::Participant>> {
        self.ask(|answer| Request::Invite { conference, sites, answer }).await
    }

    /// See [`Request::CallAgain`].
    ///
    /// # Errors
    /// Not found, conflict (it is not known where to call it).
    pub async fn call_again(&self, conference: ConferenceId, participant: ParticipantId) -> Answered<()> {
        self.ask(|answer| Request::CallAgain(conference, participant, answer)).await
    }

    /// See [`Request::BringUp`].
    ///
    /// # Errors
    /// Not found, invalid, conflict (nobody is there to see it).
    pub async fn bring_up(&self, conference: ConferenceId, order: Order) -> Answered<snapshot::Operation> {
        let order = Box::new(order);
        self.ask(|answer| Request::BringUp { conference, order, answer }).await
    }

    /// See [`Request::Operation`].
    ///
    /// # Errors
    /// Not found.
    pub async fn operation(&self, id: OperationId) -> Answered<snapshot::Operation> {
        self.ask(|answer| Request::Operation(id, answer)).await
    }

    /// See [`Request::Restore`].
    ///
    /// # Errors
    /// Not found.
    pub async fn restore(
        &self,
        conference: ConferenceId,
        room: cau_model::kept::Room,
        sites: Vec<(ParticipantId, Kept)>,
    ) -> Answered<()> {
        let room = Box::new(room);
        self.ask(|answer| Request::Restore { conference, room, sites, answer }).await
    }

    /// See [`Request::HangUp`].
    ///
    /// # Errors
    /// Not found, conflict (has left).
    pub async fn hang_up(&self, conference: ConferenceId, participant: ParticipantId) -> Answered<()> {
        self.ask(|answer| Request::HangUp(conference, participant, answer)).await
    }

    /// See [`Request::Layout`].
    ///
    /// # Errors
    /// Not found, invalid.
    pub async fn layout(
        &self,
        conference: ConferenceId,
        layout: SetLayout,
    ) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Layout { conference, layout, answer }).await
    }

    /// See [`Request::Message`].
    ///
    /// # Errors
    /// Not found, invalid.
    pub async fn message(
        &self,
        conference: ConferenceId,
        message: Option<Message>,
    ) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Message { conference, message, answer }).await
    }

    /// See [`Request::Equipment`]. Nothing happens when the focus has ended.
    pub async fn equip(&self, equipment: Arc<Equipment>) {
        let _ = self.0.send(Request::Equipment(equipment)).await;
    }

    /// See [`Request::Speaker`].
    ///
    /// # Errors
    /// Not found, conflict (picture hidden), invalid.
    pub async fn speaker(
        &self,
        conference: ConferenceId,
        participant: Option<ParticipantId>,
    ) -> Answered<snapshot::Conference> {
        self.ask(|answer| Request::Speaker { conference, participant, answer }).await
    }

    /// See [`Request::Preview`].
    ///
    /// # Errors
    /// Not found.
    pub async fn preview(
        &self,
        conference: ConferenceId,
        participant: ParticipantId,
        seen: bool,
    ) -> Answered<Option<Vec<u8>>> {
        self.ask(|answer| Request::Preview { conference, participant, seen, answer }).await
    }

    /// See [`Request::Totals`].
    ///
    /// # Errors
    /// None but the end of the focus.
    pub async fn totals(&self) -> Answered<Totals> {
        self.ask(Request::Totals).await
    }
}
