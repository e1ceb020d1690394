//! What has to hold in the end.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_codec::proto::MessageState;

use super::{Client, Simulation};

impl Simulation {
    pub(super) fn judge(&self) {
        let seed = self.seed;
        let mut ids: BTreeMap<&str, u64> = BTreeMap::new();
        for client in &self.clients {
            assert!(
                client.outbox.is_empty(),
                "seed {seed}: unanswered {:?}",
                client.outbox
            );
            ids.extend(client.sent.iter().map(|(text, id)| (text.as_str(), *id)));
        }
        assert_eq!(
            ids.values().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "seed {seed}: an id twice"
        );
        for client in &self.clients {
            let who = (client.user, client.device);
            let got: Vec<&str> = client
                .memory
                .messages
                .iter()
                .map(|(_, _, text)| text.as_str())
                .collect();
            let distinct: BTreeSet<&str> = got.iter().copied().collect();
            assert_eq!(
                got.len(),
                distinct.len(),
                "seed {seed}: {who:?} got something twice"
            );
            assert!(
                client.memory.messages.is_sorted_by_key(|(id, _, _)| *id),
                "seed {seed}: order at {who:?}"
            );
            for (text, fact) in &self.facts {
                let concerns = fact.to == client.user || fact.from.0 == client.user;
                if fact.from == who || !concerns {
                    assert!(
                        !distinct.contains(text.as_str()),
                        "seed {seed}: {who:?} got {text}"
                    );
                } else if !fact.short {
                    assert!(
                        distinct.contains(text.as_str()),
                        "seed {seed}: {who:?} lost {text}"
                    );
                }
            }
            self.judge_states(client);
        }
    }

    fn judge_states(&self, client: &Client) {
        let seed = self.seed;
        // Watermarks count for all earlier messages, so only a single message's own states are compared.
        for (id, states) in &client.memory.states {
            let expired = states
                .iter()
                .filter(|state| **state == MessageState::Expired)
                .count();
            assert!(expired <= 1, "seed {seed}: {id} expired twice");
            // A watermark may carry the id of a message that ended, where it holds for others too.
            let rising = states
                .iter()
                .filter(|state| **state != MessageState::Expired)
                .map(|state| *state as i32);
            let own = client
                .memory
                .messages
                .iter()
                .any(|(other, from, _)| other == id && from != client.user);
            assert!(
                own || rising.is_sorted(),
                "seed {seed}: states of {id} fall back: {states:?}"
            );
        }
        // Everybody acknowledged in the end, so every message that asked is covered by a watermark.
        for (text, fact) in self
            .facts
            .iter()
            .filter(|(_, fact)| fact.from == (client.user, client.device))
        {
            let id = client.sent[text];
            let covers = |(other, states): (&u64, &Vec<MessageState>)| {
                *other >= id
                    && self.receiver_of(*other) == Some((client.user, fact.to.as_str()))
                    && states.iter().any(|state| *state != MessageState::Expired)
            };
            let asked = fact.delivered && !fact.short && fact.to != client.user;
            assert!(
                !asked || client.memory.states.iter().any(covers),
                "seed {seed}: {text} was never delivered"
            );
        }
    }

    /// From whom to whom a message went.
    fn receiver_of(&self, id: u64) -> Option<(&str, &str)> {
        let text = self
            .clients
            .iter()
            .flat_map(|client| &client.sent)
            .find(|(_, sent)| **sent == id)?
            .0;
        let fact = self.facts.get(text)?;
        Some((fact.from.0, &fact.to))
    }
}
