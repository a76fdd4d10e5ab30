//! Sans-IO SIP: messages, transactions, dialogs, INVITE sessions, SDP offer/answer.
