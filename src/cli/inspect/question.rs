//! What may be asked about a running job.

use crate::config::parse::Choice;
use crate::config::wording::shown;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectTopic {
    /// The hottest keys, and those with a route of their own.
    HotKeys,
    /// The tasks.
    Tasks,
    /// The lanes and local edges between tasks.
    Lanes,
    /// The checkpoints.
    Checkpoints,
    /// The supervisor's decisions.
    Decisions,
    /// How the job fares.
    Health,
}

impl Choice for InspectTopic {
    const NAMES: &'static [(&'static str, InspectTopic)] = &[
        ("hot-keys", InspectTopic::HotKeys),
        ("tasks", InspectTopic::Tasks),
        ("lanes", InspectTopic::Lanes),
        ("checkpoints", InspectTopic::Checkpoints),
        ("decisions", InspectTopic::Decisions),
        ("health", InspectTopic::Health),
    ];
}

impl InspectTopic {
    /// What the answer tells, in one line.
    pub(crate) fn about(self) -> &'static str {
        match self {
            InspectTopic::HotKeys => "the keys that take most: owner, route, share, state",
            InspectTopic::Tasks => "records in and out, time busy and stalled, time per step",
            InspectTopic::Lanes => {
                "how full the edges between tasks are, and how long batches wait"
            }
            InspectTopic::Checkpoints => "none yet: jobs take none",
            InspectTopic::Decisions => "what the supervisor decided and why, newest last",
            InspectTopic::Health => "progress, partitions, back-pressure, warnings",
        }
    }

    /// The word that it is asked by.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, topic)| *topic == self);
        named.map(|(name, _)| *name).expect("every topic has a name")
    }
}

/// Whether keys are shown by name: names may be secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyNames {
    /// By hash.
    #[default]
    Hidden,
    /// By name, where it is known.
    Shown,
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) topic: InspectTopic,
    pub(crate) keys: KeyNames,
}

/// The word behind a topic that asks for names.
const SHOW_KEYS: &str = "show-keys";

impl Question {
    /// Reads a question's line, without its end; the error says what is allowed.
    pub(super) fn parse(line: &str) -> Result<Question, String> {
        let (name, keys) = match line.split_once(' ') {
            Some((name, SHOW_KEYS)) => (name, KeyNames::Shown),
            _ => (line, KeyNames::Hidden),
        };
        let found = InspectTopic::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, topic)| Question { topic: *topic, keys }).ok_or_else(|| {
            let names: Vec<_> = InspectTopic::NAMES.iter().map(|(name, _)| *name).collect();
            format!("unknown topic: {}; allowed {}", shown(line), names.join(", "))
        })
    }

    /// The line, with its end.
    pub(super) fn line(self) -> String {
        match self.keys {
            KeyNames::Hidden => format!("{}\n", self.topic.name()),
            KeyNames::Shown => format!("{} {SHOW_KEYS}\n", self.topic.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_back_as_written() {
        for (_, topic) in InspectTopic::NAMES {
            for keys in [KeyNames::Hidden, KeyNames::Shown] {
                let question = Question { topic: *topic, keys };
                assert_eq!(Question::parse(question.line().trim_end()), Ok(question));
            }
        }
    }

    #[test]
    fn other_lines_are_refused_with_what_is_allowed() {
        for line in ["", "hot-key", "tasks ", "tasks show-key", "show-keys", "tasks show-keys x"] {
            let refusal = Question::parse(line).expect_err(line);
            assert!(
                refusal.ends_with(
                    "allowed hot-keys, tasks, lanes, checkpoints, decisions, \
                                       health"
                ),
                "{refusal}"
            );
        }
    }
}
