//! Reliable provisional answers (RFC 3262): each gets its PRACK, in order, within the early dialog that it makes.

use super::Leg;
use crate::sip::dialog::Dialog;
use crate::sip::message::{Method, Response};
use crate::sip::transaction::{ClientRequest, Purpose};
use crate::time::Instant;

/// More branches than any fork has; what is beyond them is treated as unreliable.
const MAX_BRANCHES: usize = 32;

/// The dialog of one branch before its answer.
pub struct EarlyDialog {
    pub dialog: Dialog,
    /// The RSeq that was acknowledged last.
    rseq: u32,
    /// Its PRACK, for a peer that goes on repeating itself.
    prack: Vec<u8>,
}

impl Leg {
    /// Sends what a reliable provisional answer wants; false where it is a repetition or came out of order, so that
    /// its content is not looked at (§4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        index: usize,
        response: &Response,
        now: Instant,
    ) -> bool {
        let headers = &response.headers;
        let rseq = headers
            .first("RSeq")
            .and_then(|text| text.trim().parse().ok());
        let (Some(rseq), Some(tag)) = (rseq, headers.to_tag()) else {
            return true;
        };
        if response.status == 100 || !headers.lists("Require", "100rel") {
            return true;
        }
        let invite = &self.invites[index];
        let cseq = invite.cseq;
        let is_full = self.early_dialogs.len() == MAX_BRANCHES;
        match self.early_dialogs.get_mut(&tag) {
            Some(early) if early.rseq == rseq => {
                self.stats.retransmitted += 1;
                let (prack, to) = (early.prack.clone(), early.dialog.flow());
                self.send(prack, to);
                return false;
            }
            Some(early) if early.rseq.checked_add(1) != Some(rseq) => {
                self.stats.stray += 1;
                return false;
            }
            Some(early) => {
                early.rseq = rseq;
                early.dialog.refresh_target(headers);
            }
            None if is_full => return true,
            None => {
                let dialog = Dialog::of_answer(invite, response, &self.config.via_host);
                let early = EarlyDialog {
                    dialog,
                    rseq,
                    prack: Vec::new(),
                };
                self.early_dialogs.insert(tag.clone(), early);
            }
        }
        self.send_prack(tag, format!("{rseq} {cseq} INVITE"), 0, now);
        true
    }

    /// The PRACK of one provisional answer, anew where it was challenged.
    pub(super) fn send_prack(
        &mut self,
        tag: String,
        rack: String,
        challenged: usize,
        now: Instant,
    ) {
        let branch = self.branch();
        let Some(early) = self.early_dialogs.get_mut(&tag) else {
            return;
        };
        let mut request = early.dialog.request(Method::Prack, &branch);
        request.headers.push("RAck", rack.as_str());
        if challenged > 0 {
            self.authorizer.sign(&mut request, &mut self.random);
        }
        early.prack = request.to_bytes();
        let (to, transport) = (early.dialog.flow(), early.dialog.transport());
        let purpose = Purpose::Prack { tag, rack };
        let transaction = ClientRequest::new(request, branch, purpose, to, transport, now);
        self.send_request(transaction, challenged);
    }
}
